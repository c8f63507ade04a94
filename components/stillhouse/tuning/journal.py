"""A study's journal on disk: who may write it, what a kill leaves in it, and how it is opened
again.

Optuna's journal has no heartbeat and cannot run a killed trial again, and one torn line makes every
further trial fail. So one process at a time holds the study's folder by a lock that the kernel
frees when it dies, a torn tail is cut off before the journal is opened, and each trial carries its
owner.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stillhouse.errors import Busy, Corrupt
from stillhouse.failpoints import failpoint
from stillhouse.tuning.objectives import Direction
from stillhouse.workspace import write_atomic

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages.journal._file import BaseJournalFileLock

JOURNAL = "journal.log"


@dataclass(frozen=True)
class Owner:
    """The process that runs a trial.

    A process number alone is given to somebody else sooner or later, so the moment of its birth
    belongs to it.

    Attributes:
        pid: The process.
        born: Clock ticks between the machine's start and the process's (`/proc/<pid>/stat`, field
            22).
        token: Random: two studies in one process are two owners.
    """

    pid: int
    born: int
    token: str

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """Return a new owner that stands for a process."""
        return cls(pid, _born(pid), secrets.token_hex(8))

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """Return the owner that `str` wrote."""
        pid, born, token = text.split(":")
        return cls(int(pid), int(born), token)

    def __str__(self) -> str:
        return f"{self.pid}:{self.born}:{self.token}"

    @property
    def alive(self) -> bool:
        """Whether that very process still runs on this machine."""
        return self.born != 0 and _born(self.pid) == self.born


def _born(pid: int) -> int:
    """0 where there is no such process, or it is a zombie.

    The name in the second field may hold spaces and brackets: start after the last one.
    """
    with contextlib.suppress(OSError):
        fields = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        return 0 if fields[0] == "Z" else int(fields[19])
    return 0


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a study's folder: it has one writer. The kernel frees it however that writer dies.

    Raises:
        Busy: Another process holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy(
            "another process works on this study.",
            where=str(folder),
            fix="Wait for it, or stop it.",
        ) from None


def repair(path: Path) -> int:
    """Cut off what a killed writer left half written at the end of a journal; call it while holding
    the folder.

    Returns:
        How many bytes were cut.

    Raises:
        Corrupt: A line before the last is not JSON: no kill does that.
    """
    data = path.read_bytes() if path.is_file() else b""
    lines = data.splitlines(keepends=True)
    whole = (
        lines[:-1] if lines and not (lines[-1].endswith(b"\n") and _is_json(lines[-1])) else lines
    )
    for number, line in enumerate(whole, start=1):
        if not _is_json(line):
            raise Corrupt(
                "the line is not JSON any more.",
                where=f"{path}, line {number}",
                fix="Delete the file; the study starts afresh.",
            )
    kept = b"".join(whole)
    if len(kept) < len(data):
        failpoint("tuning.before_repair")
        write_atomic(path, kept)
        failpoint("tuning.after_repair")
    return len(data) - len(kept)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class _AlreadyHeld:
    """The journal's lock: `held` has the whole folder already.

    Optuna's own is a link that outlives a killed writer by half a minute.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to free before the study ends."""


def open_study(folder: Path, name: str, directions: Sequence[Direction]) -> "Study":
    """Return the study in a folder, new or as it was left; call it while holding the folder.

    Errors as `repair`.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    repair(folder / JOURNAL)
    backend = JournalFileBackend(str(folder / JOURNAL), cast("BaseJournalFileLock", _AlreadyHeld()))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name,
        directions=list(directions),
        storage=JournalStorage(backend),
        load_if_exists=True,
    )
