"""Which process owns a run, so that one whose owner died can be told from one that goes on."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

PID, HOST, BORN = "stillhouse.pid", "stillhouse.host", "stillhouse.process"


def started(pid: int) -> str:
    """Return a mark of when a process began: with the pid it names one process for ever, where a
    pid alone is used again. Empty if there is none.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # field 22 of proc(5): clock ticks since boot


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
