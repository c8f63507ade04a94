"""What the parent run in MLflow is told."""

from pathlib import Path

import pytest

from stillhouse import environment
from stillhouse.pipeline import Project, telling
from stillhouse.steps import all as steps
from stillhouse.workspace import Workspace


class Listening:
    """A tracker that remembers what it is told."""

    def __init__(self, resumed: bool) -> None:
        self.resumed, self.metrics, self.children = resumed, {}, []

    def log_step(self, name, metrics, timing):
        assert not set(metrics) & set(self.metrics), "a step told another's number again"
        self.metrics |= metrics

    def log_children(self, children):
        self.children += list(children)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    house = Workspace(tmp_path)
    told = {
        "teacher": {"val/accuracy": 0.97, "test/accuracy": 0.96},
        "tune": {"tune/trials": 1.0},
        "distill": {"val/accuracy": 0.91, "test/accuracy": 0.9, "arms/none/test_accuracy": 0.8},
    }
    for name, metrics in told.items():
        house.write_json(f"artifacts/{name}/metrics.json", metrics)
        house.write_json(f"artifacts/{name}/{name}.timing.json", {"seconds": 1.0})
    trial = {
        "number": 0,
        "state": "complete",
        "values": {"val/accuracy": 0.9},
        "params": {"optimizer.lr": 0.01},
    }
    house.write_json("artifacts/tune/trials.json", {"studies": {"none": {"trials": [trial]}}})
    house.write_json(
        "artifacts/distill/arms.json",
        {"arms": [{"name": "none", "settings": {"epochs": 3}, "seeds": [0, 1], "steps": 6}]},
    )
    return Project(house, {"model": "woods"}, (), environment.place(tmp_path), steps.load())


def hear(project: Project, *, resumed: bool, ran: bool) -> Listening:
    tracker = Listening(resumed)
    for name in ("teacher", "tune", "distill"):
        telling.tell(project, tracker, name, ran=ran)
    return tracker


def test_the_students_numbers_are_not_mixed_with_the_teachers(project: Project):
    told = hear(project, resumed=False, ran=True).metrics
    assert (told["val/accuracy"], told["teacher/val/accuracy"]) == (0.91, 0.97)
    assert (told["test/accuracy"], told["teacher/test/accuracy"]) == (0.9, 0.96)


def test_every_trial_and_every_arm_is_a_child_run(project: Project):
    trial, arm = hear(project, resumed=False, ran=True).children
    assert (trial.name, trial.metrics, trial.params) == (
        "none/trial-0",
        {"val/accuracy": 0.9},
        {"optimizer.lr": 0.01},
    )
    assert (arm.name, arm.metrics, arm.params) == (
        "none/arm",
        {"test/accuracy": 0.8, "arm/steps": 6, "arm/seeds": 2},
        {"epochs": 3},
    )


@pytest.mark.parametrize(
    ("resumed", "ran", "children"), [(False, False, 0), (True, False, 2), (False, True, 2)]
)
def test_a_restored_study_is_told_again_only_where_a_killed_run_may_not_have_told_it(
    project: Project, resumed: bool, ran: bool, children: int
):
    assert len(hear(project, resumed=resumed, ran=ran).children) == children
