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

from stillhouse.failpoints import STEPS

WHEN = ("before", "after")
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
# In the order in which a run meets them, so that each run goes on where the one before was stopped.
# A trial whose process dies twice has failed for good: each is struck once between claim and tell.
# Between DVC's commit and its lock file a kill is made good by the run cache, and the step's other
# points would not be met again: rooms strike there.
IN_ORDER = (
    *(f"workspace.{when}" for when in ("before_write", "before_fsync", "before_replace")),
    *("workspace.after_replace", "pipeline.before_inputs"),
    *("pipeline.before_code_lock", "pipeline.after_code_lock"),
    *(f"tracking.{when}_{what}" for what in ("experiment", "run", "batch") for when in WHEN),
    *("workspace.before_remove", "workspace.after_remove"),
    *(f"pipeline.{when}" for when in ("before_swap", "between_swaps", "after_swap")),
    "pipeline.before_clearing",
    *(f"step.{name}.{when}_record" for name in ("prepare", "validate") for when in WHEN),
    *("training.batch@9", "training.before_checkpoint", "training.after_checkpoint"),
    *(f"step.teacher.{when}_record" for when in WHEN),
    *(f"knowledge.{when}_{what}" for what in ("shard", "manifest") for when in WHEN),
    *(f"step.knowledge.{when}_record" for when in WHEN),
    *(f"tuning.{when}_{what}" for what in ("engine", "ask", "claim") for when in WHEN),
    *("tuning.before_tell@2", "tuning.between_tells", "tuning.after_tell"),
    *(f"step.tune.{when}_record" for when in WHEN),
    *(f"tracking.{when}_child" for when in ("before", "between", "after")),
    *(f"step.{name}.{when}_record" for name in STEPS[5:8] for when in WHEN),
    *(f"pipeline.{when}_champion" for when in ("before", "between", "after")),
    *(f"step.{name}.{when}_record" for name in STEPS[8:] for when in WHEN),
    *("release.before_logged", "release.after_logged", "release.before_upload"),
    *("release.before_evidence", "release.after_evidence", "release.after_upload"),
    *("release.before_finalize", "release.before_model", "release.after_model"),
    *(f"release.{when}_{what}" for what in ("register", "blessing", "append") for when in WHEN),
    *(f"release.{when}_alias" for when in WHEN),
    *(f"tracking.{when}_end" for when in WHEN),
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
