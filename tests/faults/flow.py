"""The command line under fault: armed at a point, seen to end as that fault must, and run again."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from faults.invariants import CANARY, LONGEST, stopped
from faults.tally import TALLY
from integration.house import BIN, Done, House, project

LESS = {
    "teacher": {
        "name": "fit",
        "architecture": {"name": "mlp", "width": 64, "depth": 1},
        "epochs": 10,
        "gate": {"metric": "val/accuracy", "at_least": 0.5},
    },
    "tune": {"trials": 2},
    "distill": {"epochs": 10, "seeds": 2},
    "robustness": {"attacks": [{"name": "pgd", "norm": "linf", "epsilon": 0.1, "steps": 3}]},
    "gate": {
        "rules": [
            {"metric": "test/accuracy", "at_least": 0.1},
            {"metric": "test/accuracy", "against": "champion", "margin": 0.9},
        ]
    },
}
STEPS = (
    "prepare",
    "validate",
    "teacher",
    "knowledge",
    "tune",
    "distill",
    "export",
    "robustness",
    "gate",
    "report",
)
# In the order in which a run meets them, so that each run goes on where the one before was stopped.
IN_ORDER = (
    "workspace.before_write",
    "workspace.before_fsync",
    "workspace.before_replace",
    "workspace.after_replace",
    "tracking.before_run",
    "tracking.after_run",
    "pipeline.before_swap",
    "pipeline.between_swaps",
    "pipeline.after_swap",
    *(
        f"step.{name}.{when}"
        for name in ("prepare", "validate")
        for when in ("before_record", "after_record")
    ),
    "training.batch@9",
    "training.before_checkpoint",
    "training.after_checkpoint",
    "step.teacher.before_record",
    "step.teacher.after_record",
    "knowledge.before_shard",
    "knowledge.after_shard",
    "knowledge.before_manifest",
    "step.knowledge.before_record",
    "step.knowledge.after_record",
    "tuning.before_tell",
    "tuning.after_tell@2",
    *(f"step.{name}.{when}" for name in STEPS[4:] for when in ("before_record", "after_record")),
    "release.before_upload",
    "release.after_upload",
    "release.before_register",
    "release.after_register",
    "release.before_append",
    "release.after_append",
    "release.before_alias",
    "release.after_alias",
)
ENDS = {
    "kill": {-9},
    "term": {143},
    "int": {130},
    "raise": {1},
    "enospc": {1},
    "eio": {1},
    "stop": {-9},
}


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
        done: Exit code, both streams.
        seconds: How long it took.
    """

    done: Done
    seconds: float


def small(root: Path) -> House:
    """Make a project that takes seconds, with a secret in its .env."""
    house = project(root, LESS)
    (root / ".env").write_text(f"STILLHOUSE_CANARY={CANARY}\nAWS_SECRET_ACCESS_KEY={CANARY}\n")
    return house


def run(house: House, *words: str, points: str = "") -> Ended:
    """Run `stillhouse run --json` (or other words) with points armed; one that stops itself is
    killed where it stands.
    """
    began = time.monotonic()
    env = {
        **{name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ},
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(house.home),
        "DVC_SITE_CACHE_DIR": str(house.root / ".stillhouse" / "dvc"),
        "STILLHOUSE_FAILPOINTS": points,
    }
    out, err = (
        house.home.parent / f"{house.root.name}.out",
        house.home.parent / f"{house.root.name}.err",
    )
    with out.open("w+") as stdout, err.open("w+") as stderr:
        process = subprocess.Popen(
            [BIN / "stillhouse", *(words or ("run", "--json"))],
            cwd=house.root,
            env=env,
            stdout=stdout,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
        )
        while process.poll() is None:
            time.sleep(0.05)
            hangs = time.monotonic() - began > LONGEST
            if hangs or ("=stop" in points and stopped(process.pid)):
                process.send_signal(signal.SIGKILL)
                process.wait()
    return Ended(
        Done(process.returncode, out.read_text(), err.read_text()), time.monotonic() - began
    )


def quiet(house: House, seconds: float = 15.0) -> list[str]:
    """Wait until no process works in the project; return those that still do."""
    until = time.monotonic() + seconds
    while (left := house.left_running()) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def strike(house: House, point: str, action: str) -> tuple[Ended, list[str]]:
    """Run with one point armed, and tell how the end differs from what that fault must bring."""
    name, _, count = point.partition("@")
    ended = run(house, points=f"{name}={action}{'@' + count if count else ''}")
    TALLY.point(name, action)
    broken = (
        []
        if ended.done.code in ENDS[action]
        else [f"{point}={action} ended with {ended.done.code}: {ended.done.said[-700:]}"]
    )
    broken += (
        [f"{point}={action}: a traceback was shown: {ended.done.said[-900:]}"]
        if "Traceback" in ended.done.said
        else []
    )
    broken += [f"{point}={action} left {line}" for line in quiet(house)]
    return ended, TALLY.held("I11", broken)
