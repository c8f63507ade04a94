"""A PostgreSQL server of its own for a test: started on a free port, stopped at the end."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def binaries() -> Path | None:
    """Return the folder that holds initdb and postgres, the newest first; None if there is none."""
    found = [place for pattern in PLACES for place in Path("/").glob(pattern.lstrip("/"))]
    on_path = shutil.which("pg_isready")
    return max(found, default=Path(on_path).resolve().parent if on_path else None)


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the address of a fresh server; it refuses root, so that it runs as nobody there."""
    where = binaries()
    if where is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    as_nobody = (
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        if os.geteuid() == 0
        else []
    )
    folder = Path(tempfile.mkdtemp(prefix="stillhouse-pg-", dir="/tmp"))
    if as_nobody:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    make = [*as_nobody, where / "initdb", "-D", data, "-U", "me", "-A", "trust", "--no-sync"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    serve = [*as_nobody, where / "postgres", "-D", data, "-p", str(port), "-k", folder, "-F"]
    server = subprocess.Popen(serve, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        _await(where / "pg_isready", port)
        yield f"postgresql://me@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _await(ready: Path, port: int) -> None:
    for _ in range(200):
        done = subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False)
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError("the PostgreSQL server did not start within 20 s")
