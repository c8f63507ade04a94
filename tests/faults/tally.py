"""What the suite has seen: faults, points, recoveries, checks of each invariant, violations.

It becomes docs/reliability.json, by no other hand.
"""

import os
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.clock import SYSTEM
from stillhouse.failpoints import DECLARED
from stillhouse.workspace import dump_json, write_atomic

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
NEVER = "none yet"
BEGIN, END = "<!-- make test-faults -->", "<!-- / -->"
FILE = REPOSITORY / "docs" / "reliability.json"
ACTIONS = ("kill", "term", "int", "raise", "enospc", "eio", "stop")
SEED = int(os.environ.get("STILLHOUSE_FAULTS_SEED", "0"))


@dataclass
class Tally:
    """Counts of one session.

    Attributes:
        faults: By kind: `failpoint kill`, `syscall write`, `promoter killed` …
        pairs: (point, action) that was made to fail and seen to have failed.
        recoveries: How often something was run again after a fault and looked at.
        checks: By invariant.
        violations: One sentence each.
        numbers: Counts of another kind: states explored, mutants caught.
    """

    faults: Counter[str] = field(default_factory=Counter)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    recoveries: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=SYSTEM.seconds)

    def fault(self, kind: str, *, count: int = 1) -> None:
        self.faults[kind] += count

    def point(self, name: str, action: str) -> None:
        self.pairs.add((name, action))
        self.fault(f"failpoint {action}")

    def held(self, name: str, broken: list[str]) -> list[str]:
        """Count one check of an invariant and what it found; return what it found."""
        self.checks[name] += 1
        self.violations += [f"{name}: {sentence}" for sentence in broken]
        return broken

    def counted(self) -> dict[str, Any]:
        """Return all counts as plain values, for another process to `add`."""
        return {
            "faults": dict(self.faults),
            "pairs": sorted(map(list, self.pairs)),
            "recoveries": self.recoveries,
            "checks": dict(self.checks),
            "violations": self.violations,
            "numbers": self.numbers,
        }

    def add(self, counted: dict[str, Any]) -> None:
        """Add what another process counted."""
        self.faults.update(counted["faults"])
        self.pairs |= {(point, action) for point, action in counted["pairs"]}
        self.recoveries += counted["recoveries"]
        self.checks.update(counted["checks"])
        self.violations += counted["violations"]
        for name, number in counted["numbers"].items():
            self.numbers[name] = self.numbers.get(name, 0) + number

    def as_dict(self) -> dict[str, Any]:
        points, actions = {p for p, _ in self.pairs}, {a for _, a in self.pairs}
        seconds = SYSTEM.seconds() - self.began
        minutes, faults, invariants = (
            round(seconds / 60, 1),
            sum(self.faults.values()),
            sorted(self.checks, key=lambda n: int(n[1:])),
        )
        sentence = (
            f"{faults} faults at {len(points)} points, {self.recoveries} recoveries checked "
            f"by {len(invariants)} invariants, {len(self.violations)} violations;"
            f" seed {SEED}, commit {commit()}, {minutes} minutes on {os.cpu_count()} cores"
        )
        return {
            "sentence": sentence,
            "faults": {"all": faults, **dict(sorted(self.faults.items()))},
            "points": {
                "declared": len(DECLARED),
                "hit": len(points),
                "not_hit": sorted(set(DECLARED) - points),
            },
            "pairs": {
                "all": len(self.pairs),
                "actions": sorted(actions),
                "not_made": sorted(
                    f"{point}={action}"
                    for point in DECLARED
                    for action in ACTIONS
                    if (point, action) not in self.pairs
                ),
            },
            "recoveries": self.recoveries,
            "invariants": {name: self.checks[name] for name in invariants},
            "violations": self.violations,
            "numbers": dict(sorted(self.numbers.items())),
            "seed": SEED,
            "commit": commit(),
            "minutes": minutes,
            "cores": os.cpu_count(),
        }

    def write(self) -> None:
        told = self.as_dict()
        write_atomic(FILE, dump_json(told))
        write_atomic(README, with_sentence(README.read_text(), told["sentence"]).encode())


def with_sentence(text: str, sentence: str) -> str:
    """Return a page with what stands between the marks replaced by what the suite counted."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}{sentence}{END}{after}"


def commit() -> str:
    """Return the commit that is checked out, with a plus if files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
        ).stdout.strip()

    differs = git("status", "--porcelain", "--untracked-files=no", "--", "components", "flows")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if differs else "")


TALLY = Tally()
