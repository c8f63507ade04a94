"""Kill a process at its n-th system call, n = 1, 2, 3 … until it gets through: no name of a place
is needed, and none can be forgotten.
"""

import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

from faults import rooms
from faults.tally import TALLY

CALLS = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,openat,ftruncate,mkdir"
OPENS = "openat"
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
# seconds from being attached to, which the kernel shows, to being traced, which it does not
SETTLE = 0.2
STRACE = shutil.which("strace")


def usable() -> bool:
    """Whether strace is here and may look at our processes."""
    return (
        STRACE is not None
        and subprocess.run(
            [STRACE, "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True
        ).returncode
        == 0
    )


@dataclass(frozen=True)
class Traced:
    """A run under strace.

    Attributes:
        code: How it ended; −9 is killed.
        calls: How often it made each call.
    """

    code: int
    calls: Counter[str]


def traced(name: str, folder: Path, order: str = "", call: str = CALLS) -> Traced:
    """Do a room's work under strace.

    Args:
        name: The room.
        folder: Its folder.
        order: What strace does at which call, such as `signal=KILL:when=3`; nothing counts the
            calls only.
        call: At calls of this name; strace counts each name for itself.
    """
    log = folder.parent / f"{folder.name}.strace"
    ours, theirs = Pipe()
    process = rooms.start(name, folder, go=theirs)
    inject = [f"--inject={call}:{order}"] if order else []
    command = [
        str(STRACE),
        "-f",
        "-qq",
        "-e",
        f"trace={CALLS}",
        *inject,
        "-o",
        str(log),
        "-p",
        str(process.pid),
    ]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not _attached(process.pid or 0) and tracer.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(SETTLE)
    ours.send("go")
    code = rooms.finished(process)
    tracer.wait(20)
    return Traced(code, Counter(_CALL.findall(log.read_text(errors="replace"))))


def _attached(pid: int) -> bool:
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def points(calls: Counter[str], most: int) -> list[tuple[str, int]]:
    """Return (call, n) at which to strike: every call that changes something, and then files that
    are opened, which are many and mostly read; spread evenly where there are more than `most`.
    """
    changing = [(name, n) for name in sorted(calls) if name != OPENS for n in _upto(calls[name])]
    struck = _spread(changing, most - most // 5)
    return struck + _spread([(OPENS, n) for n in _upto(calls[OPENS])], most - len(struck))


def _upto(count: int) -> range:
    return range(1, count + 1)


def _spread(every: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    if len(every) <= most:
        return every
    return [every[round(k * (len(every) - 1) / (most - 1))] for k in range(most)]


def kill_through(
    name: str, fresh: Callable[[], Path], want: str, *, most: int, do: str = "signal=KILL"
) -> tuple[int, list[str]]:
    """Kill a room's work at its n-th call for every n, do it again each time; return how many kills
    struck, and what was wrong.
    """
    counted = traced(name, fresh())
    assert counted.code == 0, f"{name} does not end well under strace: {counted.code}"
    calls = counted.calls
    struck, broken = 0, []
    for call, n in points(calls, most):
        folder = fresh()
        ended = traced(name, folder, f"{do}:when={n}", call)
        if do == "signal=KILL" and ended.code == 0:
            continue  # fewer calls than when they were counted
        struck += 1
        TALLY.fault(f"syscall {do.partition('=')[2]}")
        wrong = TALLY.held("I10", rooms.torn(name, folder))
        again = rooms.finished(rooms.start(name, folder))
        TALLY.recoveries += 1
        same = again == 0 and rooms.words(folder) == want
        wrong += TALLY.held(
            "I6",
            []
            if same
            else [
                f"{name}: {call} {n}: done again it ended with {again}: {rooms.words(folder)[:200]}"
            ],
        )
        wrong += TALLY.held("I12", [f"{left} is left" for left in rooms.left_in(folder)])
        broken += [f"{call} {n} of {calls[call]}: {sentence}" for sentence in wrong]
    return struck, broken
