"""What a study does, who does it, and what comes out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stillhouse.tuning.halving import Halving
from stillhouse.tuning.objectives import Trial
from stillhouse.tuning.workers import Problem, Workers

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Attributes:
        name: The arm's name.
        space: What is drawn, by path name; empty means one trial.
        trials: How many, failed ones included.
        together: How many are asked together.
        objectives: Metrics that a trial returns; the first decides among equals of the Pareto
            front.
        key: A hash of all that its trials depend on; another key is another study.
        halving: When the trials of a round are compared before their end; None: never.
    """

    name: str
    space: "Mapping[str, BaseDistribution]"
    trials: int
    together: int
    objectives: tuple[str, ...]
    key: str
    halving: Halving | None = None

    @property
    def budget(self) -> int:
        """How many trials it has: without a space there is nothing to try twice."""
        return self.trials if self.space else 1

    def seed(self, number: int) -> int:
        """Return the sampler's seed for one trial: of the arm and the number alone, so that no
        other code, data or setting draws other values at random.
        """
        return int.from_bytes(
            hashlib.sha256(f"{self.name}/{number}".encode()).digest()[:4], "little"
        )


@dataclass(frozen=True)
class Found:
    """A finished study.

    Attributes:
        trials: All of them, by number.
        best: The one that won.
        engine: What trained them.
    """

    trials: tuple[Trial, ...]
    best: Trial
    engine: str


class Crew(Protocol):
    """Who trains the trials of a study."""

    def choose(self) -> str:
        """Return the name of an engine; asked once a study, so that a resumed one has the same."""
        ...

    def hire(self, engine: str, problem: Problem) -> tuple[Workers, Problem]:
        """Return who runs trials by an engine, and the problem as it wants it."""
        ...


@dataclass(frozen=True)
class Only:
    """The same workers for every study."""

    workers: Workers
    engine: str = "sequential"

    def choose(self) -> str:
        return self.engine

    def hire(self, engine: str, problem: Problem) -> tuple[Workers, Problem]:  # noqa: ARG002
        return self.workers, problem
