from pathlib import Path

import numpy as np
import pytest
from flows.intake import files

from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.look import guess
from stillhouse_flows.intake.plan import Net, Plan, _batch, _student_epochs, plan, read


def planned(path: Path, hints: Hints | None = None) -> Plan:
    found = guess(path, path.parent, hints or Hints())
    told, dataset = read(found, path.parent)
    return plan(dataset, told, path.parent)


def test_a_rare_event_is_judged_by_how_well_it_is_ranked(tmp_path: Path):
    made = planned(files.crashes(tmp_path))
    assert made.baseline.smallest < 0.1
    assert (made.metric, "balanced" in made.teacher) == ("auc", False)
    assert 0.5 <= made.student_bound < made.baseline.reached
    assert 0.5 <= made.teacher_bound < made.baseline.reached


def test_bounds_of_even_classes_lie_between_guessing_and_what_a_quick_model_reached(tmp_path: Path):
    made = planned(files.hospital(tmp_path))
    base = made.baseline
    assert made.metric == "accuracy"
    assert base.chance - 0.01 <= made.student_bound < base.reached
    assert base.chance < made.teacher_bound < base.reached


def test_uneven_classes_of_three_are_judged_by_balanced_accuracy(tmp_path: Path):
    draw = np.random.default_rng(0)
    lines = [f"{draw.normal() + at % 20:.2f},{min(at % 20, 2)}" for at in range(400)]
    (tmp_path / "t.csv").write_text("x,label\n" + "\n".join(lines))
    made = planned(tmp_path / "t.csv")
    assert (made.metric, made.teacher["balanced"]) == ("balanced_accuracy", True)


def test_a_quantity_is_judged_by_what_a_quick_model_explains(tmp_path: Path):
    draw = np.random.default_rng(0)
    xs = draw.normal(size=300)
    lines = [f"{x:.3f},{2 * x + draw.normal() / 2:.3f}" for x in xs]
    (tmp_path / "t.csv").write_text("x,price\n" + "\n".join(lines))
    made = planned(tmp_path / "t.csv", Hints(target="price"))
    assert (made.metric, made.teacher["estimator"]) == ("r2", "linear_regression")
    assert 0.6 < made.student_bound < made.baseline.reached < 1
    assert "a straight line does as well" in made.notes[-1]
    lines = [f"{x:.3f},{abs(x) + draw.normal() / 9:.3f}" for x in xs]
    (tmp_path / "t.csv").write_text("x,price\n" + "\n".join(lines))
    assert planned(tmp_path / "t.csv", Hints(target="price")).teacher["estimator"] == (
        "gradient_boosting"
    )


@pytest.mark.parametrize(("rows", "batch"), [(300, 32), (2500, 64), (9000, 128), (30_000, 512)])
def test_few_rows_are_learned_from_in_steps_enough(rows: int, batch: int):
    assert _batch(rows) == batch


def test_columns_that_say_nothing_are_named_so(tmp_path: Path):
    draw = np.random.default_rng(0)
    lines = [f"{draw.normal():.3f},{draw.integers(2)}" for _ in range(300)]
    (tmp_path / "noise.csv").write_text("x,label\n" + "\n".join(lines))
    made = planned(tmp_path / "noise.csv")
    assert made.notes
    assert "say little of the target" in made.notes[-1]
    assert not any("little" in note for note in planned(files.hospital(tmp_path)).notes)


def test_groups_are_held_out_whole_by_a_seed_that_leaves_every_class_everywhere(tmp_path: Path):
    made = planned(files.watch(tmp_path))
    assert made.split["by"] == "group"
    assert min(made.rows.values()) > 0


def test_time_that_would_hide_a_class_from_train_is_not_the_split(tmp_path: Path):
    lines = [
        f"2025-01-{1 + at // 10:02d},{at % 7},{'late' if at > 250 else 'early'}"
        for at in range(300)
    ]
    (tmp_path / "t.csv").write_text("date,x,label\n" + "\n".join(lines))
    made = planned(tmp_path / "t.csv", Hints(target="label"))
    assert made.split["by"] == "row"
    assert "flatter" in made.notes[0]


def test_a_student_of_few_rows_takes_steps_enough_where_they_can_be_paid():
    small, large = Net({}, 6286, 811_200), Net({}, 10**6, 10**8)
    assert 16 * _student_epochs(small, 504, 32, 33) >= 480
    assert _student_epochs(large, 5000, 128, 33) == 6


@pytest.mark.parametrize("make", [files.gas, files.watch, files.signs])
def test_a_students_weights_and_arithmetic_are_counted_before_it_is_trained(make, tmp_path: Path):
    made = planned(make(tmp_path))
    assert made.student.parameters > 100
    assert made.student.macs > 100
    assert made.epochs >= 6
