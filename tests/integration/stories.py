"""What happens in projects of their own while the tests look at the house: told once, judged by
tests.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration.house import LESS, Done, House, project

# (failpoint, how the process ends): in the order in which a run meets them, so that each run goes
# on where the one before was stopped.
BLOWS = (
    ("step.prepare.before_record=kill", -9),
    ("training.batch=kill@40", -9),
    ("tuning.before_tell=int@2", 130),
    ("step.tune.after_record=kill", -9),
    ("step.robustness.before_record=term", 143),
    ("pipeline.between_swaps=kill@2", -9),
    ("release.after_register=kill", -9),
    ("release.after_append=kill", -9),
    ("release.before_alias=kill", -9),
)


@dataclass
class Killed:
    """A project whose run was stopped at every blow and then left in peace."""

    house: House
    ends: dict[str, Done] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    last: Any = None


def killed(place: Path) -> Killed:
    """Stop a run again and again, then let it end."""
    told = Killed(project(place / "the killed house", LESS))
    for blow, code in BLOWS:
        told.ends[blow] = told.house.stillhouse(
            "run", env={"STILLHOUSE_FAILPOINTS": blow}, code=code
        )
        told.left[blow] = settled(told.house)
    told.last = told.house.json("run")
    return told


def repeated(place: Path) -> House:
    """Make everything again with DVC alone, in a project that Stillhouse's flow never ran in."""
    house = project(place / "the house that DVC built", LESS)
    house.stillhouse("lock")
    house.dvc("repro", "-q")
    return house


def settled(house: House, patience: float = 20.0) -> list[str]:
    """Return what still works in the project after a killed run: its server ends by itself, within
    seconds.
    """
    deadline = time.monotonic() + patience
    while (left := house.left_running()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
