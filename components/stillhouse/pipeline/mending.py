"""What a kill leaves in DVC's own files, brought in order before DVC reads them: it rewrites them
in place, and refuses every command where one is torn.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.errors import SettingsError
from stillhouse.failpoints import failpoint
from stillhouse.workspace import write_atomic

Told = Callable[[str], None]


def mend_rwlock(repo: Any, told: Told) -> None:
    """Bring DVC's list of who uses which path in order: a torn one makes DVC refuse every command
    until somebody deletes it.

    We hold the workspace, and DVC's own guard of the file while we look, so that nobody is about to
    finish it.
    """
    from dvc.lock import LockError, make_lock

    path = Path(repo.tmp_dir) / "rwlock"
    if not path.is_file():
        return
    try:
        with make_lock(
            f"{path}.lock",
            tmp_dir=repo.tmp_dir,
            hardlink_lock=repo.config["core"].get("hardlink_lock", False),
        ):
            users = json.loads(path.read_bytes())
            if (alive := _of_the_living(users)) != users:
                write_atomic(path, json.dumps(alive).encode())
    except LockError:
        return  # a living DVC command writes it
    except ValueError:
        failpoint("pipeline.before_mend")
        path.unlink(missing_ok=True)
        failpoint("pipeline.after_mend")
        told(".dvc/tmp/rwlock was torn by a kill; it is removed.")


def mend_lock(root: Path, told: Told) -> None:
    """Remove a dvc.lock that a killed process left cut off: the steps are restored from the cache
    without it.

    Raises:
        SettingsError: It holds a merge conflict, which is for its owner to settle.
    """
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import ParseError, parse_yaml
    from voluptuous import Invalid

    path = root / "dvc.lock"
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, str(path)))
    except (Invalid, ParseError, DvcException):
        if "<<<<<<<" in text:
            raise SettingsError(
                "it holds a merge conflict.",
                where=str(path),
                fix="Settle it, or delete the file: results come from the cache.",
            ) from None
        failpoint("pipeline.before_mend")
        path.unlink()
        failpoint("pipeline.after_mend")
        told("dvc.lock was cut off; it is made again.")


def _of_the_living(users: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return DVC's list without processes that are gone: `read` names several a path, `write`
    one.
    """
    reads = {
        path: [user for user in of if _lives(user["pid"])]
        for path, of in users.get("read", {}).items()
    }
    writes = {path: user for path, user in users.get("write", {}).items() if _lives(user["pid"])}
    return {"write": writes, "read": {path: of for path, of in reads.items() if of}}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, hence alive
        return True
    return True
