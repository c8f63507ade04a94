"""Back the stack up into one file, and bring it back.

The databases are dumped before the artifacts are copied: files are written before the rows that
name them and are never changed, so that whatever a dumped row names is among the copied files.
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

import secrets_file
from postgres import DATABASES
from stack import NotHealthy, Stack

FORMAT = "stillhouse-team-backup 1"
FOLDERS = ("artifacts", "dvc")
SECRETS = ("MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY", "PREFECT_PASSWORD")


def backup(stack: Stack, file: Path) -> int:
    """Write databases, artifacts, the DVC remote and the accounts' secrets; return bytes.

    The file is as secret as the stack: keep it where only its owner reads it.

    Raises:
        NotHealthy: PostgreSQL does not answer.
    """
    if not stack.postgres.answers():
        raise NotHealthy("PostgreSQL does not answer: start the stack first.")
    scratch = file.with_name(f".{file.name}.part")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as opened,
            tarfile.open(fileobj=opened, mode="w:gz") as tar,
            tempfile.TemporaryDirectory() as folder,
        ):
            for name in DATABASES:
                stack.postgres.dump(name, Path(folder) / name)
                tar.add(Path(folder) / name, f"databases/{name}")
            for name in FOLDERS:
                tar.add(stack.folder / name, name)
            _note(tar, {"format": FORMAT, "secrets": {n: stack.secrets[n] for n in SECRETS}})
            tar.close()
            opened.flush()
            os.fsync(opened.fileno())
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
    return file.stat().st_size


def restore(stack: Stack, file: Path) -> None:
    """Replace the stack's databases, artifacts and secrets by those of a back-up, and start it.

    What was there is moved to `<folder>/before-restore`, never deleted.

    Raises:
        NotHealthy: It is no back-up of ours, or the stack does not come up.
    """
    with tempfile.TemporaryDirectory(dir=stack.folder) as scratch:
        fresh = Path(scratch)
        try:
            with tarfile.open(file) as tar:
                tar.extractall(fresh, filter="data")
        except (tarfile.TarError, EOFError, zlib.error):
            raise NotHealthy(f"{file} is no back-up of a stack, or was cut off.") from None
        if not (fresh / "note.json").is_file():
            raise NotHealthy(f"{file} is no back-up of a stack, or was cut off.")
        note = json.loads((fresh / "note.json").read_bytes())
        if note.get("format") != FORMAT:
            raise NotHealthy(f"{file} has the format {note.get('format')!r}, not {FORMAT!r}.")
        stack.stop()
        stack.postgres.start()
        for name in DATABASES:
            stack.postgres.load(name, fresh / "databases" / name)
        _exchange(stack.folder, fresh)
        secrets_file.write(stack.folder, {**stack.secrets, **note["secrets"]})
    Stack(stack.folder, stack.project).start()


def _exchange(folder: Path, fresh: Path) -> None:
    aside = folder / "before-restore"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for name in FOLDERS:
        if (folder / name).exists():
            (folder / name).rename(aside / name)
        (fresh / name).rename(folder / name)


def _note(tar: tarfile.TarFile, value: object) -> None:
    """The note goes in last: a file that was cut off has none."""
    data = json.dumps(value).encode()
    entry = tarfile.TarInfo("note.json")
    entry.size, entry.mode = len(data), 0o600
    tar.addfile(entry, io.BytesIO(data))
