"""The team stack as `make team-local` starts it, driven by its own command line."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from integration.house import REPOSITORY, Done, House

COMMAND = REPOSITORY / "infra" / "local" / "team.py"
ACCOUNTS = importlib.util.find_spec("flask_wtf") is not None


@dataclass(frozen=True)
class Team:
    """One stack in a folder of its own."""

    folder: Path
    project: Path

    def do(self, *words: object, code: int = 0) -> Done:
        """Run a command of infra/local/team.py."""
        command = [sys.executable, COMMAND, "--folder", self.folder, "--project", self.project]
        done = subprocess.run(
            [str(w) for w in (*command, *words)],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)

    def joined(self, house: House, name: str, *more: str) -> House:
        """Give a project the .env of a member, as the guide says."""
        said = self.do("user", name, *more) if ACCOUNTS else self.do("env")
        (house.root / ".env").write_text(said.out)
        return house

    def pids(self) -> dict[str, str]:
        return {p.stem: p.read_text() for p in sorted((self.folder / "run").glob("*.json"))}


def clone(house: House, name: str) -> House:
    """Make a teammate's clone: what git has, and nothing else."""
    root = house.root.parent / name
    home = house.root.parent / f"home of {name}"
    home.mkdir()
    subprocess.run(
        ["git", "clone", "-q", str(house.root), str(root)], check=True, capture_output=True
    )
    made = House(root, home)
    assert not (root / "artifacts").exists()
    assert not (root / ".stillhouse").exists()
    return made


def installed() -> bool:
    """Whether PostgreSQL can be started here at all."""
    places = [str(p) for p in Path("/usr/lib/postgresql").glob("*/bin")]
    return any(shutil.which("initdb", path=place) for place in places) or bool(
        shutil.which("initdb")
    )
