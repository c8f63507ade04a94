"""Which process owns a run, so that one whose owner died can be told from one that goes on."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

PID, HOST, BORN = "stillhouse.pid", "stillhouse.host", "stillhouse.process"


def started(pid: int) -> str:
    """Return a mark of when a process began: with the pid it names one process for ever, where a
    pid alone is used again. Empty if there is none, or it has ended and nobody asked how.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # field 22 of proc(5): clock ticks since boot


def tags() -> dict[str, str]:
    """Return the tags that name this process."""
    return {PID: str(os.getpid()), HOST: socket.gethostname(), BORN: started(os.getpid())}


def is_dead(found: Mapping[str, str]) -> bool:
    """Whether the owner that these tags name was a process of this host and is gone.

    Another host's is never called dead.
    """
    pid = found.get(PID, "")
    if found.get(HOST) != socket.gethostname() or not pid.isdigit():
        return False
    return started(int(pid)) != found.get(BORN, "")


def lives_here(found: Mapping[str, str]) -> bool:
    """Whether the owner is another process of this host that still runs.

    One of another host cannot be asked: a worker that went on from where a lost one stopped takes
    its run up.
    """
    mine = tags()
    if found.get(HOST) != mine[HOST] or found.get(PID) == mine[PID]:
        return False
    return not is_dead(found)
