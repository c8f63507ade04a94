"""A retrain where the disk or the memory is short: started by test_limits.py, in a mount namespace
of its own where a disk is meant. It prints what happened as JSON.

    python limits.py full|readonly PROJECT DISK     DISK is an empty folder; PROJECT is copied there
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import rooms

ROOM = 80_000  # kB of the small disk
# Bytes that are free when a run begins: from nothing at all to nearly enough.
FREE = (0, 8_192, 65_536, 262_144, 700_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000)


def attempt(folder: Path) -> dict[str, object]:
    code = rooms.finished(rooms.start("retrain", folder), 300)
    return {"code": code, "said": rooms.error(folder) if code else "", "left": left(folder)}


def left(folder: Path) -> list[str]:
    """Return what is torn: a file that is not what dvc.lock's stage, or a temporary one."""
    return rooms.left_in(folder)


def full(folder: Path) -> list[dict[str, object]]:
    """Retrain with less room than it needs, again and again, and then with enough."""
    told = []
    for free in FREE:
        with filled(folder, free):
            told.append({"free": free, **attempt(folder)})
    return [*told, attempt(folder)]


@contextmanager
def filled(folder: Path, free: int) -> Iterator[None]:
    """Fill the disk but for some bytes."""
    filler = folder / ".filler"
    status = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - free))
    try:
        yield
    finally:
        filler.unlink()


def readonly(folder: Path) -> list[dict[str, object]]:
    """Retrain where nothing may be written, and then where it may."""
    mount("--bind", str(folder), str(folder))
    mount("-o", "remount,bind,ro", str(folder))
    first = attempt(folder)
    subprocess.run(["umount", str(folder)], check=True)
    return [first, attempt(folder)]


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def starved(folder: str, megabytes: int) -> None:
    """Retrain in this process with so much memory to spare; the limit is on addresses."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    rooms.work("retrain", folder, "", None, f"{folder}.told")


if __name__ == "__main__":
    rooms.PRELOAD[:] = rooms.WARM
    what, source, disk = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "full":
        mount("-t", "tmpfs", "-o", f"size={ROOM}k", "none", str(disk))
    shutil.copytree(source, disk, dirs_exist_ok=True)
    told = {"full": full, "readonly": readonly}[what](disk)
    if what == "full":
        shutil.copytree(disk, disk.parent / "kept", symlinks=True)
    sys.stdout.write(json.dumps(told))
