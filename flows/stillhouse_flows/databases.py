"""Empty databases of Prefect and MLflow, made once where the packages are installed and copied into
each new workspace.

Both build their schema by running through years of migrations, some eight seconds of work that
would otherwise open the first run of every clone.

python -m stillhouse_flows.databases     makes them; `make setup` does
"""

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from stillhouse import environment
from stillhouse.environment import HIDDEN, place
from stillhouse.errors import StillhouseError
from stillhouse.workspace import alone, write_atomic

FOLDER = Path(sys.prefix) / "share" / "stillhouse"


def _kept(package: str, folder: Path) -> Path:
    return folder / f"{package}-{version(package)}.db"


def _targets(root: Path) -> dict[str, Path]:
    return {
        "prefect": root / HIDDEN / "prefect" / "prefect.db",
        "mlflow": root / HIDDEN / "mlflow.db",
    }


def seed(root: Path, packages: Sequence[str] = ("prefect", "mlflow")) -> None:
    """Give a workspace that has none its empty databases; each appears whole, since a migration
    that is killed half way can neither go on nor begin anew.

    Two first runs may come at once: the second one finds the first one's, and perhaps its rows.

    Args:
        root: The workspace.
        packages: Whose; one that a server keeps is left out.

    Raises:
        StillhouseError: None was kept, and none could be made.
    """
    here, targets = place(root), _targets(root)
    if here.prefect_url is not None:
        del targets["prefect"]
    if here.tracking_uri != f"sqlite:///{targets['mlflow']}":
        del targets["mlflow"]
    (root / HIDDEN).mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(root / HIDDEN):
        for package in packages:
            if package in targets and not targets[package].exists():
                write_atomic(targets[package], _empty(package, root))


def _empty(package: str, root: Path) -> bytes:
    """Return the bytes of an empty database, made and kept for the next workspace if `make setup`
    did not.
    """
    kept = _kept(package, FOLDER)
    if kept.is_file():
        return kept.read_bytes()
    scratch = root / HIDDEN / "tmp"
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [sys.executable, "-P", "-m", "stillhouse_flows.databases", folder]
        done = subprocess.run(
            command, env=environment.child(root), check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise StillhouseError(
                f"the empty databases could not be made: {said}",
                where=str(root),
                fix="Run `stillhouse doctor`.",
            )
        for made in Path(folder).glob("*.db"):
            with contextlib.suppress(OSError):  # an installation that may not be written to
                write_atomic(FOLDER / made.name, made.read_bytes())
        return _kept(package, Path(folder)).read_bytes()


def make(into: Path) -> None:
    """Make the empty databases in a folder, if it does not have them for the installed versions."""
    if all(_kept(package, into).is_file() for package in _targets(into)):
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        environment.prepare(root)  # nothing of this may land in the home folder, nor phone home
        targets = _targets(root)
        for target in targets.values():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prefect(targets["prefect"].parent)
        _mlflow(root)
        for package, target in targets.items():
            write_atomic(_kept(package, into), _bytes(target))


def _prefect(home: Path) -> None:
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    subprocess.run(
        command,
        env=environment.child(home.parents[1], PREFECT_HOME=str(home)),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _mlflow(root: Path) -> None:
    from stillhouse.tracking import warm

    target = _targets(root)["mlflow"]
    warm(replace(place(root), tracking_uri=f"sqlite:///{target}"))
    # The default experiment names this folder as the place of its artifacts; MLflow makes it anew
    # where it is missing.
    with contextlib.closing(sqlite3.connect(target)) as database:
        database.execute("DELETE FROM experiments")
        database.commit()


def _bytes(path: Path) -> bytes:
    """Return a database's bytes, whatever still waits in its write-ahead log."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.serialize()


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
