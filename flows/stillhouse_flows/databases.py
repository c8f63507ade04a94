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
from importlib.metadata import version
from pathlib import Path

from stillhouse import environment
from stillhouse.environment import HIDDEN, place
from stillhouse.workspace import alone, write_atomic

FOLDER = Path(sys.prefix) / "share" / "stillhouse"


def _kept(package: str) -> Path:
    return FOLDER / f"{package}-{version(package)}.db"


def _targets(root: Path) -> dict[str, Path]:
    return {
        "prefect": root / HIDDEN / "prefect" / "prefect.db",
        "mlflow": root / HIDDEN / "mlflow.db",
    }


def seed(root: Path) -> None:
    """Copy the empty databases into a workspace that has none; without them the servers make their
    own, only slower.

    Two first runs may come at once: the second one finds the first one's, and perhaps its rows.
    """
    (root / HIDDEN).mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(root / HIDDEN):
        for package, target in _targets(root).items():
            kept = _kept(package)
            if kept.is_file() and not target.exists():
                write_atomic(target, kept.read_bytes())


def make() -> None:
    """Make the empty databases, if this machine does not have them for the installed versions."""
    if all(_kept(package).is_file() for package in _targets(Path())):
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
            write_atomic(_kept(package), _bytes(target))


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

    warm(place(root))
    # The default experiment names this folder as the place of its artifacts; MLflow makes it anew
    # where it is missing.
    with contextlib.closing(sqlite3.connect(_targets(root)["mlflow"])) as database:
        database.execute("DELETE FROM experiments")
        database.commit()


def _bytes(path: Path) -> bytes:
    """Return a database's bytes, whatever still waits in its write-ahead log."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.serialize()


if __name__ == "__main__":
    make()
