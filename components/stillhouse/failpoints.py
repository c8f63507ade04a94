"""Places where a test may make the world fail: before and after every external effect.

    STILLHOUSE_FAILPOINTS="release.after_append=kill@2;workspace.replace=enospc" stillhouse run

kills the process the second time it has appended to the ledger, and fills the disk at the first
rename. `environment` arms them; unarmed, a point costs one dictionary test.
"""

import errno
import os
import signal
import time
from dataclasses import dataclass

from stillhouse.errors import SettingsError, StillhouseError, nearest

# Every point of the product, in one place, so that a test can demand that each is hit.
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
DECLARED: tuple[str, ...] = (
    "workspace.before_write",
    "workspace.before_fsync",
    "workspace.before_replace",
    "workspace.after_replace",
    "workspace.before_remove",
    "workspace.after_remove",
    "training.before_checkpoint",
    "training.after_checkpoint",
    "training.batch",
    "knowledge.before_shard",
    "knowledge.after_shard",
    "knowledge.before_lease",
    "knowledge.after_lease",
    "knowledge.before_share",
    "knowledge.after_share",
    "knowledge.before_manifest",
    "knowledge.after_manifest",
    "tuning.before_ask",
    "tuning.after_ask",
    "tuning.before_engine",
    "tuning.after_engine",
    "tuning.before_rung",
    "tuning.after_rung",
    "tuning.before_claim",
    "tuning.after_claim",
    "tuning.before_tell",
    "tuning.between_tells",
    "tuning.after_tell",
    "tuning.before_repair",
    "tuning.after_repair",
    "pipeline.before_inputs",
    "pipeline.before_code_lock",
    "pipeline.after_code_lock",
    "pipeline.before_champion",
    "pipeline.between_champion",
    "pipeline.after_champion",
    "pipeline.before_mend",
    "pipeline.after_mend",
    "pipeline.before_restore",
    "pipeline.between_restore",
    "pipeline.after_restore",
    "pipeline.before_discard",
    "pipeline.between_discard",
    "pipeline.after_discard",
    "pipeline.before_swap",
    "pipeline.between_swaps",
    "pipeline.after_swap",
    "pipeline.before_clearing",
    "pipeline.before_commit",
    "pipeline.before_dump",
    *(f"step.{name}.{when}" for name in STEPS for when in ("before_record", "after_record")),
    "tracking.before_experiment",
    "tracking.after_experiment",
    "tracking.before_run",
    "tracking.after_run",
    "tracking.before_batch",
    "tracking.after_batch",
    "tracking.before_child",
    "tracking.between_child",
    "tracking.after_child",
    "tracking.before_end",
    "tracking.after_end",
    "tracking.before_spool",
    "tracking.after_spool",
    "tracking.between_replays",
    "release.before_logged",
    "release.after_logged",
    "release.before_upload",
    "release.before_evidence",
    "release.after_evidence",
    "release.after_upload",
    "release.before_finalize",
    "release.before_model",
    "release.after_model",
    "release.before_register",
    "release.after_register",
    "release.before_blessing",
    "release.after_blessing",
    "release.before_append",
    "release.after_append",
    "release.before_alias",
    "release.after_alias",
    "outbox.before_send",
    "outbox.after_send",
)


class Injected(StillhouseError):
    """The failure that a failpoint's `raise` stands for."""


@dataclass
class _Armed:
    action: str
    at: int
    seen: int = 0


_armed: dict[str, _Armed] = {}
_hit: dict[str, int] = {}
_recording = False


def _stop_self() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _signal_self(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(5)  # SIGTERM and SIGINT arrive at the next bytecode; SIGKILL never returns


def _fail(name: str, action: str) -> None:
    if action == "kill":
        _signal_self(signal.SIGKILL)
    elif action == "term":
        _signal_self(signal.SIGTERM)
    elif action == "int":
        _signal_self(signal.SIGINT)
    elif action == "stop":
        _stop_self()
    elif action == "sleep":
        time.sleep(1)
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    elif action == "eio":
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)
    else:
        raise Injected(f"The failpoint '{name}' was told to raise.")


ACTIONS = ("kill", "term", "int", "raise", "enospc", "eio", "sleep", "stop")


def failpoint(name: str) -> None:
    """Fail here if this point is armed; otherwise do nothing."""
    if not _armed and not _recording:
        return
    _hit[name] = _hit.get(name, 0) + 1
    armed = _armed.get(name)
    if armed is None:
        return
    armed.seen += 1
    if armed.seen == armed.at:
        _fail(name, armed.action)


def arm(text: str) -> None:
    """Arm the points that `text` names, `name=action` or `name=action@n`, joined by `;`.

    An empty text disarms all.

    Raises:
        SettingsError: A name or an action is unknown, or n is not a whole number above 0.
    """
    _armed.clear()
    _hit.clear()
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, _, rest = part.partition("=")
        action, _, count = rest.partition("@")
        if name not in DECLARED:
            raise SettingsError(
                f"there is no failpoint '{name}'.",
                where="STILLHOUSE_FAILPOINTS",
                fix=nearest(name, list(DECLARED)),
            )
        if action not in ACTIONS:
            raise SettingsError(
                f"'{action}' is no action.",
                where="STILLHOUSE_FAILPOINTS",
                fix=nearest(action, list(ACTIONS)),
            )
        if count and not (count.isdigit() and int(count) > 0):
            raise SettingsError(
                f"'@{count}' is not a count.",
                where="STILLHOUSE_FAILPOINTS",
                fix="Write name=action@n with n = 1, 2, 3 …",
            )
        _armed[name] = _Armed(action, int(count or 1))


def record(on: bool = True) -> None:
    """Count hits also of points that are not armed; tests use it to see that every point is
    reached.
    """
    global _recording
    _recording = on
    _hit.clear()


def hits() -> dict[str, int]:
    """Return how often each point was reached since recording or arming began."""
    return dict(_hit)
