"""Which process of which workspace owns a run, so that one whose owner died can be told from one
that goes on.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from stillhouse.environment import HIDDEN
from stillhouse.workspace import Workspace

PID, HOST, BORN = "stillhouse.pid", "stillhouse.host", "stillhouse.process"
WORKSPACE = "stillhouse.workspace"
_NAME = f"{HIDDEN}/workspace.json"


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


def tags(workspace: Workspace) -> dict[str, str]:
    """Return the tags that name this process and its workspace."""
    return {
        PID: str(os.getpid()),
        HOST: socket.gethostname(),
        BORN: started(os.getpid()),
        WORKSPACE: _identity(workspace),
    }


def is_dead(found: Mapping[str, str], workspace: Workspace) -> bool:
    """Whether the owner that these tags name is gone; asked by whoever holds the workspace.

    A process of this host can be looked at. One of another host cannot be asked, and is never
    called dead unless it worked in this very workspace, which is ours alone now: its host was lost,
    as a worker's is whose container began anew.
    """
    pid = found.get(PID, "")
    if found.get(HOST) != socket.gethostname():
        return found.get(WORKSPACE) == _identity(workspace)
    return pid.isdigit() and started(int(pid)) != found.get(BORN, "")


def is_anothers(found: Mapping[str, str], workspace: Workspace) -> bool:
    """Whether the owner is another process that may still run."""
    mine = tags(workspace)
    me = all(found.get(name) == mine[name] for name in (PID, HOST))
    return not me and PID in found and not is_dead(found, workspace)


def _identity(workspace: Workspace) -> str:
    """Return what names this folder wherever it is mounted, made at the first call."""
    if not (workspace.root / _NAME).is_file():
        workspace.write_json(_NAME, {"id": secrets.token_hex(8)})
    return str(workspace.read_json(_NAME)["id"])
