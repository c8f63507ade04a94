"""What trains a study's trials: one after the other, in one loop, or in processes of their own.

`auto` tries each of them for a few steps and takes the fastest. The choice is part of the result,
for two engines round differently: it is kept with the study, and told beside its trials.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch

from stillhouse.clock import Clock
from stillhouse.data.dataset import Dataset
from stillhouse.distillation.settings import corners
from stillhouse.environment import HIDDEN
from stillhouse.errors import SettingsError, TrainingFailed
from stillhouse.steps.arm import normalization
from stillhouse.steps.step import Progress
from stillhouse.steps.trials import Trials, nobody
from stillhouse.training.fit import fit
from stillhouse.training.fleet import Member, fit_together, kind_of, why_apart
from stillhouse.training.pace import Pace, paces
from stillhouse.tuning.probe import fastest
from stillhouse.tuning.workers import AtOnce, Here, Pool, Problem, Workers
from stillhouse.workspace import Workspace

Engine = Literal["auto", "sequential", "channels_last", "bf16", "fleet", "processes"]
PACES: Mapping[str, Pace] = {
    "sequential": "plain",
    "channels_last": "channels_last",
    "bf16": "bf16",
}
PINNED = f"{HIDDEN}/engines.json"  # arm → engine; `stillhouse reproduce` leaves it in its copy


@dataclass(frozen=True)
class Engines:
    """Who trains the trials of one study.

    Attributes:
        wanted: As set.
        trials: What is trained.
        together: Trials a round.
        pool: Processes of their own; None where there is only this one.
        clock: For the probe.
        timing: Gets what a probe measured, in seconds a step of one trial.
        progress: Called with (epochs done, all epochs, a note) while a round is in one loop.
    """

    wanted: Engine
    trials: Trials
    together: int
    pool: Pool | None
    clock: Clock
    timing: dict[str, float]
    progress: Progress

    def choose(self) -> str:
        """Return the engine: the one that is set, or the fastest.

        Raises:
            SettingsError: The one that is set cannot train these trials.
        """
        if self.wanted == "auto":
            return self._pinned() or self._probed(*self._members())
        if self.wanted == "processes" and self.pool is None:
            raise SettingsError(
                "'processes' needs more than one.",
                where="tune.engine",
                fix="Set tune.workers to 2 or more.",
            )
        if self.wanted == "fleet" and (why := why_apart(self._members()[0])):
            raise SettingsError(
                f"the trials of '{self.trials.arm}' cannot be trained in one loop: {why}.",
                where="tune.engine",
                fix="Write engine: auto.",
            )
        return self.wanted

    def hire(self, engine: str, problem: Problem) -> tuple[Workers, Problem]:  # noqa: ARG002
        if engine == "processes":
            return self.pool or Here(), self.trials
        if engine == "fleet":
            return AtOnce(), replace(self.trials, progress=self.progress)
        return Here(), replace(self.trials, pace=PACES[engine])

    def _pinned(self) -> str | None:
        """Return the engine that a version had which is made again here; None: nobody says."""
        place = self.trials.root / PINNED
        if not place.is_file():
            return None
        found = Workspace(self.trials.root).read_json(PINNED).get(self.trials.arm)
        return None if found is None else str(found)

    def _members(self) -> tuple[list[Member], Dataset]:
        """As many students as a round has, with settings of one corner of the space: how long they
        take does not hang on a learning rate, and a small one keeps them from diverging.
        """
        first = next(iter(corners(self.trials.section, "distill")))
        material = self.trials.material
        alike = replace(self.trials, section=first)
        normalize = normalization(alike.arm, material)
        made = [alike.member({}, material, normalize) for _ in range(self.together)]
        slow = {**made[0][0].settings.optimizer, "lr": 1e-6}
        calm = replace(made[0][0].settings, optimizer=slow)
        return [replace(own, settings=calm) for own, _ in made], made[0][1]

    def _probed(self, members: list[Member], rows: Dataset) -> str:
        ways = self._ways(members, rows)
        base = next(iter(ways))
        if len(ways) == 1:
            return base
        try:
            taken, took = fastest(ways, self.clock)
        except TrainingFailed:  # the study itself will meet that row, and name it
            return base
        for name, seconds in took.items():
            self.timing[f"engine/{self.trials.arm}/{name}/seconds"] = round(seconds, 7)
        return taken

    def _ways(self, members: list[Member], rows: Dataset) -> dict[str, Callable[[int], float]]:
        none = nobody(self.trials.material)
        one, count = members[0], self.pool.size if self.pool else 1

        def alone(pace: Pace, steps: int) -> float:
            # as another pace laid the weights out, this one would be taken for that one
            one.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            short = replace(one.settings, steps=steps)
            fit(one.model, one.objective, rows, none, short, pace=pace)
            return float(steps * count)

        def at_once(steps: int) -> float:
            short = [replace(own, settings=replace(own.settings, steps=steps)) for own in members]
            fit_together(short, rows, none)
            return float(steps * len(members))

        ways: dict[str, Callable[[int], float]] = {}
        if self.pool is not None:
            ways["processes"] = partial(alone, "plain")
        else:
            possible = paces(one.model, one.objective)
            ways |= {name: partial(alone, p) for name, p in PACES.items() if p in possible}
        if len(members) > 1 and kind_of(one) is not None:
            ways["fleet"] = at_once
        return ways
