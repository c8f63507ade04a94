import dataclasses
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from tuning.problems import Ledger, all_fail, bowl, half_fail, misused, not_a_number

from stillhouse import failpoints
from stillhouse.errors import Busy, SettingsError, TrainingFailed
from stillhouse.tuning import journal
from stillhouse.tuning.halving import Halving
from stillhouse.tuning.plan import Only
from stillhouse.tuning.study import Plan, search
from stillhouse.tuning.workers import Here, Pool, Task

TESTS = Path(__file__).parent.parent
PLAN = Plan(
    "student",
    {"width": IntDistribution(1, 9), "x": FloatDistribution(0, 10)},
    8,
    1,
    ("val/accuracy",),
    "key",
)


def test_a_study_runs_its_trials_and_the_best_one_wins(tmp_path: Path) -> None:
    told: list[int] = []
    found = search(PLAN, bowl, tmp_path, told=lambda trial, seconds: told.append(trial.number))
    assert [t.number for t in found.trials] == told == list(range(8))
    assert found.best.values == max(
        (t.values for t in found.trials if t.values), key=lambda v: v["val/accuracy"]
    )
    assert len({t.params["x"] for t in found.trials}) == 8


def test_the_same_plan_gives_the_same_trials_and_another_arm_draws_others(tmp_path: Path) -> None:
    first = search(PLAN, bowl, tmp_path / "a")
    assert search(PLAN, bowl, tmp_path / "b") == first
    assert (
        search(dataclasses.replace(PLAN, name="none"), bowl, tmp_path / "c").trials != first.trials
    )


def test_another_key_is_another_study_in_which_nothing_is_taken_over(tmp_path: Path) -> None:
    first = search(PLAN, bowl, tmp_path)
    with pytest.raises(TrainingFailed):
        search(dataclasses.replace(PLAN, key="other"), all_fail, tmp_path)
    assert search(PLAN, all_fail, tmp_path) == first


def test_a_finished_study_is_told_again_without_running_anything(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ran")
    ledger.folder.mkdir()
    first = search(PLAN, ledger, tmp_path / "study")
    assert search(PLAN, all_fail, tmp_path / "study") == first
    assert len(ledger.runs()) == 8


def test_tpe_learns_where_the_best_is(tmp_path: Path) -> None:
    found = search(dataclasses.replace(PLAN, trials=30), bowl, tmp_path)
    early, late = (
        [abs(t.params["x"] - 3) for t in part] for part in (found.trials[:5], found.trials[-10:])
    )
    assert sum(late) / 10 < sum(early) / 5 / 2


def test_an_arm_without_a_space_has_one_trial(tmp_path: Path) -> None:
    found = search(dataclasses.replace(PLAN, space={}), bowl, tmp_path)
    assert [(t.number, t.params) for t in found.trials] == [(0, {})]


@pytest.mark.parametrize("when", ["before_tell", "after_tell"])
@pytest.mark.parametrize("at", [1, 6])
def test_a_killed_study_goes_on_to_the_same_trials_and_none_counts_twice(
    tmp_path: Path, when: str, at: int
) -> None:
    ran = tmp_path / "ran"
    ran.mkdir()
    code = (
        "import os\nfrom pathlib import Path\nfrom stillhouse import failpoints\n"
        "from tuning.problems import Ledger\nfrom tuning.test_study import PLAN, search\n"
        "failpoints.arm(os.environ['STILLHOUSE_FAILPOINTS'])\nsearch(PLAN, "
        f"Ledger(Path({str(ran)!r})), Path({str(tmp_path / 'study')!r}))"
    )
    env = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "STILLHOUSE_FAILPOINTS": f"tuning.{when}=kill@{at}",
    }
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    told: list[int] = []
    found = search(
        PLAN, Ledger(ran), tmp_path / "study", told=lambda trial, seconds: told.append(trial.number)
    )
    assert found == search(PLAN, bowl, tmp_path / "undisturbed")
    assert told == list(range(8))
    assert len(Ledger(ran).runs()) == 8 + (when == "before_tell")


def test_a_trial_whose_process_died_twice_fails_and_the_study_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        _die_in_trial(tmp_path, 2)
    found = search(PLAN, bowl, tmp_path)
    assert [t.number for t in found.trials if t.state == "failed"] == [2]
    assert "died 2 times" in found.trials[2].message
    assert found.trials[2].params == search(PLAN, bowl, tmp_path / "other").trials[2].params


def _die_in_trial(folder: Path, number: int) -> None:
    """Leave what a SIGKILL in the middle of a trial leaves: asked, claimed by a dead owner, never
    told.
    """
    if not (folder / journal.JOURNAL).exists():
        with pytest.raises(KeyboardInterrupt):
            search(PLAN, _Interrupted(number), folder)
    with journal.held(folder):
        study = journal.open_study(folder, f"{PLAN.name}-{PLAN.key[:16]}", ["maximize"])
        count = study.user_attrs[f"attempt/{number}"]["count"]
        study.set_user_attr(f"attempt/{number}", {"count": count + 1, "owner": "1:1:dead"})


class _Interrupted:
    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, task):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return bowl(task)


def test_ctrl_c_counts_no_attempt(tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search(PLAN, _Interrupted(0), tmp_path)
    assert search(PLAN, bowl, tmp_path) == search(PLAN, bowl, tmp_path / "undisturbed")


def test_a_trial_that_a_living_process_runs_is_left_to_it(tmp_path: Path) -> None:
    _die_in_trial(tmp_path, 0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with journal.held(tmp_path):
            study = journal.open_study(tmp_path, f"{PLAN.name}-{PLAN.key[:16]}", ["maximize"])
            study.set_user_attr(
                "attempt/0", {"count": 1, "owner": str(journal.Owner.of(other.pid))}
            )
        with pytest.raises(Busy, match=f"trial 0 .* process {other.pid}"):
            search(PLAN, bowl, tmp_path)
    assert search(PLAN, bowl, tmp_path) == search(PLAN, bowl, tmp_path / "undisturbed")


def test_a_loss_that_is_no_number_fails_its_trial_only(tmp_path: Path) -> None:
    found = search(PLAN, half_fail, tmp_path / "a")
    failed = [t for t in found.trials if t.state == "failed"]
    assert 0 < len(failed) < 8
    assert all("rows 4, 7" in t.message and t.params["x"] > 5 for t in failed)
    assert "val/nll is nan" in next(
        t.message for t in search(PLAN, not_a_number, tmp_path / "b").trials if t.values is None
    )


def test_a_study_whose_trials_all_fail_names_the_rows(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingFailed, match=r"all 8 trials of the arm 'student' failed.*rows 4, 7"
    ):
        search(PLAN, all_fail, tmp_path)


def test_a_wrong_setting_stops_the_study(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="width"):
        search(PLAN, misused, tmp_path)


def test_several_objectives_choose_on_the_front(tmp_path: Path) -> None:
    found = search(
        dataclasses.replace(PLAN, objectives=("val/accuracy", "student/parameters")), bowl, tmp_path
    )
    best = found.best.values
    assert best is not None
    assert best["val/accuracy"] == max(t.values["val/accuracy"] for t in found.trials if t.values)


def test_workers_are_asked_and_told_by_number_whatever_their_speed(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, together=2, trials=7)
    ran = tmp_path / "ran"
    ran.mkdir()
    with Pool(2) as pool:
        found = search(plan, Ledger(ran, deaths=1, mortal_above=6), tmp_path / "a", crew=Only(pool))
    assert found == search(plan, bowl, tmp_path / "b")
    assert found != search(dataclasses.replace(plan, together=1), bowl, tmp_path / "c"), (
        "trials that run together do not learn from one another"
    )
    deaths = sum(t.params["x"] > 6 for t in found.trials)
    assert deaths > 0
    assert len(Ledger(ran).runs()) == 7 + deaths


HALVED = dataclasses.replace(PLAN, together=4, halving=Halving(0.25, 0.5))


class Racing:
    """Comes to more the longer it is trained, and counts what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    def __call__(self, task: Task) -> dict[str, float]:
        self.asked.append((task.number, task.until))
        return {"val/accuracy": bowl(task)["val/accuracy"] * task.until}


def test_halving_lets_the_best_of_a_round_go_on_and_the_others_are_pruned(tmp_path: Path) -> None:
    racing = Racing()
    found = search(HALVED, racing, tmp_path)
    shares = [until for _, until in racing.asked]
    assert shares == ([0.25] * 4 + [0.5] * 2 + [1.0]) * 2
    for first in (0, 4):
        of_round = found.trials[first : first + 4]
        assert sorted(t.at for t in of_round) == [0.25, 0.25, 0.5, 1.0]
        reached = {t.number: bowl(Task(0, t.params))["val/accuracy"] for t in of_round}
        assert max(reached, key=reached.__getitem__) == next(
            t.number for t in of_round if t.at == 1
        )
    assert found.best.state == "complete"
    with journal.held(tmp_path):
        study = journal.open_study(tmp_path, f"{PLAN.name}-{PLAN.key[:16]}", ["maximize"])
        assert Counter(t.state.name for t in study.trials) == {"PRUNED": 6, "COMPLETE": 2}


@pytest.mark.parametrize(
    "point",
    [
        "before_rung@2",
        "after_rung@1",
        "after_tell@1",
        "after_tell@2",
        "after_tell@3",
        "before_claim@6",
    ],
)
def test_a_race_that_is_stopped_lets_the_same_trials_go_on(tmp_path: Path, point: str) -> None:
    name, _, count = point.partition("@")
    failpoints.arm(f"tuning.{name}=raise@{count}")
    with pytest.raises(Exception, match=name):
        search(HALVED, Racing(), tmp_path)
    failpoints.arm("")
    later = Racing()
    found = search(HALVED, later, tmp_path)
    assert search(HALVED, Racing(), tmp_path) == found, "what is finished is told again"
    assert found == search(HALVED, Racing(), tmp_path / "undisturbed")
    assert len(later.asked) < 14


def test_a_trial_that_fails_on_the_way_leaves_its_place_to_another(tmp_path: Path) -> None:
    found = search(HALVED, half_fail, tmp_path)
    assert {t.state for t in found.trials if t.params["x"] > 5} == {"failed"}
    assert found.best.params["x"] <= 5


class Chooser:
    """Wants another engine each time it is asked."""

    def __init__(self) -> None:
        self.chosen: list[str] = []

    def choose(self) -> str:
        self.chosen.append(f"engine {len(self.chosen)}")
        return self.chosen[-1]

    def hire(self, engine, problem):
        return Here(), problem


def test_the_engine_is_chosen_once_a_study(tmp_path: Path) -> None:
    crew = Chooser()
    assert search(PLAN, bowl, tmp_path, crew=crew) == search(PLAN, bowl, tmp_path, crew=crew)
    assert crew.chosen == ["engine 0"]
