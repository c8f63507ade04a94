from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from flows.intake import files

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.splits import Split
from stillhouse.steps.prepare import divide
from stillhouse_flows.intake.baseline import BOOSTING, _alike
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.look import guess
from stillhouse_flows.intake.params_text import params_text
from stillhouse_flows.intake.plan import (
    Net,
    Plan,
    _batch,
    _no_signal,
    _student_epochs,
    _teacher,
    plan,
    read,
    student_for,
)


def planned(path: Path, hints: Hints | None = None) -> Plan:
    found = guess(path, path.parent, hints or Hints())
    told, dataset = read(found, path.parent)
    return plan(dataset, told)


def test_a_rare_event_is_judged_by_how_well_it_is_ranked(tmp_path: Path):
    made = planned(files.crashes(tmp_path))
    assert made.baseline.smallest < 0.1
    assert (made.metric, "balanced" in made.teacher) == ("auc", False)
    assert 0.5 <= made.student_bound < made.baseline.reached
    assert 0.5 <= made.teacher_gate["at_least"] < made.baseline.reached
    assert made.positive == "1"
    boosted = replace(made.baseline, name=BOOSTING)
    _, dataset = read(guess(files.crashes(tmp_path), tmp_path, Hints()), tmp_path)
    assert _teacher(dataset, 9000, boosted)["learning_rate"] == 0.05  # few events: gently
    assert "learning_rate" not in _teacher(dataset, 900_000, boosted)


@pytest.mark.parametrize("hours", [1 / 60, 1.5, 99_999.0])
def test_whatever_budget_is_written_is_read_as_a_number(tmp_path: Path, hours: float):
    found = guess(files.gas(tmp_path), tmp_path, Hints())
    told, dataset = read(found, tmp_path)
    made = replace(plan(dataset, told), hours=hours)
    written = params_text(told, made, kind="table", model="gas", plugins=[])
    assert yaml.safe_load(written)["budget"]["hours"] == pytest.approx(hours, rel=1e-3)


def test_a_smaller_model_may_cost_a_little_where_rows_can_show_it(tmp_path: Path):
    found = guess(files.gas(tmp_path), tmp_path, Hints())
    told, dataset = read(found, tmp_path)
    made = plan(dataset, told)
    many = replace(made, rows={**made.rows, "test": 5000})
    few, much = (
        yaml.safe_load(params_text(told, each, kind="table", model="gas", plugins=[]))["gate"]
        for each in (made, many)
    )
    assert "margin" not in few["rules"][1]
    assert {"metric": "test/accuracy", "against": "teacher", "margin": 0.03} in much["rules"]


def test_a_fifth_of_sick_people_is_looked_for_and_ranked_and_even_classes_are_not(tmp_path: Path):
    draw = np.random.default_rng(0)
    lines = [f"{at % 5 + draw.normal():.2f},{'yes' if at % 5 == 4 else 'no'}" for at in range(600)]
    (tmp_path / "t.csv").write_text("x,readmitted\n" + "\n".join(lines))
    made = planned(tmp_path / "t.csv")
    assert (made.metric, made.positive) == ("auc", "yes")
    even = [line.replace("no", "yes", at % 2) for at, line in enumerate(lines)]
    (tmp_path / "t.csv").write_text("x,readmitted\n" + "\n".join(even))
    assert planned(tmp_path / "t.csv").positive is None


def test_bounds_of_even_classes_lie_between_guessing_and_what_a_quick_model_reached(tmp_path: Path):
    made = planned(files.hospital(tmp_path))
    base = made.baseline
    assert made.metric == "accuracy"
    assert base.chance - 0.01 <= made.student_bound < base.reached
    assert base.chance < made.teacher_gate["at_least"] < base.reached


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
    of_pixels = _no_signal(made.baseline, "image")
    assert "columns" not in of_pixels
    assert "each pixel by itself, and a net may find more" in of_pixels


def test_groups_are_held_out_whole_by_a_seed_that_leaves_every_class_everywhere(tmp_path: Path):
    made = planned(files.watch(tmp_path))
    assert made.split["by"] == "group"
    assert min(made.rows.values()) > 0


def test_of_few_groups_several_are_there_to_choose_by(tmp_path: Path):
    found = guess(files.watch(tmp_path, wearers=20), tmp_path, Hints())
    told, dataset = read(found, tmp_path)
    made = plan(dataset, told)
    ready = divide(
        dataset,
        Split("group", made.split["val"], made.split["test"], made.split.get("seed", 0)),
        labelled=None,
        unlabelled=0,
    )
    assert ready.val.groups is not None
    assert len(ready.val.groups.unique()) >= 2


def test_rows_that_are_right_and_wrong_together_count_less():
    schema = Schema("table", (1,), ("a", "b"), (Feature("x"),))
    right = torch.tensor([True] * 30 + [False] * 10)
    asked = Dataset(torch.zeros(40, 1), torch.ones(40).long(), schema, torch.arange(40))
    logits = torch.stack([(~right).float(), right.float()], dim=1)
    of_ten = replace(asked, groups=torch.arange(40) // 10)
    assert _alike(logits, asked) == 1.0
    assert _alike(logits, replace(asked, groups=torch.arange(40))) == pytest.approx(40 / 39)
    assert _alike(logits, of_ten) == pytest.approx(10 * 4 / 3)


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


@pytest.mark.parametrize(("lines", "stages"), [(32, 3), (64, 4), (128, 4), (512, 5)])
def test_a_longer_window_is_seen_by_a_deeper_net(lines: int, stages: int):
    schema = Schema("series", (lines, 1), ("a", "b"), (Feature("x"),))
    rows = Dataset(torch.randn(4, lines, 1), torch.arange(4) % 2, schema, torch.arange(4))
    assert student_for(rows).spec["depth"] == stages


@pytest.mark.parametrize("make", [files.gas, files.watch, files.signs])
def test_a_students_weights_and_arithmetic_are_counted_before_it_is_trained(make, tmp_path: Path):
    made = planned(make(tmp_path))
    assert made.student.parameters > 100
    assert made.student.macs > 100
    assert made.epochs >= 6
