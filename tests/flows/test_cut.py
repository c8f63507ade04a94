"""A search that the budget cuts, and cuts again: the whole of it is told in test_told."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from stillhouse.errors import OverBudget
from stillhouse.pipeline.budget import CutShort
from stillhouse_flows import retrain


@dataclass
class Project:
    """As much of a project as a cut search needs."""

    sets: tuple[str, ...] = ()
    verdict: str = "hold"
    said: list[str] = field(default_factory=list)
    closed: list[tuple[str, ...]] = field(default_factory=list)

    def told(self, sentence: str) -> None:
        self.said.append(sentence)

    def with_sets(self, *sets: str) -> "Project":
        return Project((*self.sets, *sets), said=self.said, closed=self.closed)

    def close(self) -> None:
        self.closed.append(self.sets)


def cut(trials: int) -> CutShort:
    return CutShort(f"'tune' does not fit ({trials}).", trials=trials, where="budget", fix="")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the steps of each further try come to, in order."""
    left: list[Any] = []

    def walked(project: Any, each: Any) -> list[Any]:
        ended = left.pop(0)
        if isinstance(ended, Exception):
            raise ended
        return []

    monkeypatch.setattr(retrain, "_steps", walked)
    monkeypatch.setattr(retrain, "_artifacts", lambda project, results: None)
    return left


def test_a_search_cut_once_more_is_gated_with_the_trials_that_fit_in_the_end(steps: list[Any]):
    steps += [cut(13), None]
    project: Any = Project()
    told = retrain._gated(project, lambda result: None, cut(15))
    assert isinstance(told, OverBudget)
    assert "the best of 13 trials was gated: hold, not promoted" in told.what
    assert "tune.trials=13" in str(told.fix)
    assert [said.partition("with ")[2] for said in project.said] == [
        "15 trials of each arm.",
        "13 trials of each arm.",
    ]
    assert project.closed == [("tune.trials=15", "tune.trials=13"), ("tune.trials=15",)]


def test_what_does_not_fit_at_all_is_told_as_such(steps: list[Any]):
    steps += [OverBudget("'distill' does not fit.")]
    project: Any = Project()
    with pytest.raises(OverBudget, match="'distill' does not fit"):
        retrain._gated(project, lambda result: None, cut(15))
    assert project.closed == [("tune.trials=15",)]
