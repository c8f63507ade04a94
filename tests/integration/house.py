"""A project of its own, and the real command line on it: what a user has, with less work to do."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from integration.zygote import BIN, zygote

from stillhouse import environment
from stillhouse.pipeline import Project
from stillhouse.release.ledger import State
from stillhouse.release.registry import Registry
from stillhouse.workspace import sha256
from stillhouse_flows import databases

REPOSITORY = Path(__file__).parent.parent.parent
STEPS = (
    "prepare",
    "validate",
    "teacher",
    "knowledge",
    "tune",
    "distill",
    "export",
    "robustness",
    "gate",
    "report",
)
CLOCKS = (
    ".timing.json",
    "report/receipt.json",
    "report/receipt.html",
)  # what a clock goes into; nothing else may differ between two runs
LESS = {
    "tune": {"trials": 2},
    "distill": {"epochs": 60, "seeds": 3},
    "gate": {
        "rules": [
            {"metric": "test/accuracy", "at_least": 0.6},
            {"metric": "test/accuracy", "against": "champion", "margin": 0.1},
        ]
    },
}
# Warnings of others in this process: mlflow 3.17 on SQLAlchemy 2.1, Great Expectations' imports;
# and ours about data, which these tests do not look at.
WARNINGS = (
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::stillhouse.data.notices.DataNotice",
)
AUTHOR = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams on one line, as a reader's eye takes them."""
        return " ".join((self.out + self.err).split())


@dataclass(frozen=True)
class House:
    """A project's folder and a home folder that only it uses."""

    root: Path
    home: Path

    def do(self, *words: object, env: Mapping[str, str] | None = None) -> Done:
        """Run a command in the project; its output goes to files, so that a process it leaves
        behind cannot hold us up.
        """
        out, err = self._streams()
        with out.open("w+") as stdout, err.open("w+") as stderr:
            code = subprocess.run(
                [str(w) for w in words],
                cwd=self.root,
                env=self._env(env),
                stdout=stdout,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
            ).returncode
        return Done(code, out.read_text(), err.read_text())

    def _streams(self) -> tuple[Path, Path]:
        folder, name = self.home.parent, self.root.name
        return folder / f"{name}.out", folder / f"{name}.err"

    def _env(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
        mine = {
            "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.home),
            "DVC_SITE_CACHE_DIR": str(self.root / ".stillhouse" / "dvc"),
        }
        return {**kept, **mine, **(more or {})}

    def stillhouse(
        self, *words: object, env: Mapping[str, str] | None = None, code: int | None = 0
    ) -> Done:
        """Run the command line in a process forked from one that has its imports; None accepts
        every exit code.
        """
        out, err = self._streams()
        begun = zygote().begin(list(map(str, words)), self.root, self._env(env), to=[out, err])
        return _expected(words, Done(begun.wait(), out.read_text(), err.read_text()), code)

    def script(
        self, *words: object, env: Mapping[str, str] | None = None, code: int | None = 0
    ) -> Done:
        """Run the console script as a shell does, started anew."""
        return _expected(words, self.do(BIN / "stillhouse", *words, env=env), code)

    def json(self, *words: object, env: Mapping[str, str] | None = None, code: int = 0) -> Any:
        """Return the one object that `--json` prints."""
        return json.loads(self.stillhouse(*words, "--json", env=env, code=code).out)

    def dvc(self, *words: object) -> Done:
        """Run a DVC command that has to end well; the steps that it starts are forked, each a
        process of its own.
        """
        path = os.pathsep.join((str(zygote().bin), self._env(None)["PATH"]))
        done = self.do(BIN / "dvc", *words, env={"PATH": path})
        assert done.code == 0, (
            f"dvc {words} ended with {done.code}: {done.out[-800:]} {done.err[-1500:]}"
        )
        return done

    def git(self, *words: object) -> str:
        """Run a git command that has to end well."""
        done = self.do("git", *AUTHOR, *words)
        assert done.code == 0, done.said
        return done.out

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def artifact(self, name: str) -> Any:
        """Return what artifacts/<name> holds."""
        return json.loads((self.root / "artifacts" / name).read_bytes())

    def bring(self, *sets: str, last: str = "report") -> Project:
        """Bring the steps up to date in this process, up to `last`: all of `stillhouse run` but
        Prefect, MLflow's run and the promotion.
        """
        databases.seed(self.root)
        opened = Project.open(self.root, sets)
        with opened.held("a test"):
            for name in STEPS[: STEPS.index(last) + 1]:
                opened.bring_up_to_date(name)
        return opened

    def registry(self) -> Registry:
        """The registered model as this process sees it, without a command line between."""
        model = yaml.safe_load((self.root / "params.yaml").read_text())["model"]
        return Registry.open(environment.place(self.root), model)

    def ledger(self) -> State:
        """Who is champion, by the ledger."""
        return self.registry().state()

    def hashes(self, pattern: str = "*") -> dict[str, str]:
        """Return the sha256 of every file under artifacts/ whose name matches."""
        return {
            str(p.relative_to(self.root)): sha256(p)
            for p in sorted((self.root / "artifacts").rglob(pattern))
            if p.is_file()
        }

    def recorded(self) -> dict[str, dict[str, Any]]:
        """Return what dvc.lock holds of each stage but for what clocks go into."""
        found = {}
        for name, stage in yaml.safe_load((self.root / "dvc.lock").read_text())["stages"].items():
            entries = {
                kind: {
                    e["path"]: e["md5"]
                    for e in stage.get(kind, [])
                    if not e["path"].endswith(CLOCKS)
                }
                for kind in ("deps", "outs")
            }
            found[name] = {**entries, "params": stage.get("params"), "cmd": stage["cmd"]}
        return found

    def left_running(self) -> list[str]:
        """Return the processes that work in the project's folder."""
        found = []
        for cwd in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if Path(os.readlink(cwd)).is_relative_to(self.root):
                    found.append((cwd.parent / "cmdline").read_text().replace("\0", " ")[:120])
            except OSError:  # it ended, or is another user's
                continue
        return found


def _expected(words: Sequence[object], done: Done, code: int | None) -> Done:
    assert code is None or done.code == code, (
        f"{words} ended with {done.code}: {done.out[-500:]} {done.err[-2500:]}"
    )
    return done


def states(ran: Mapping[str, Any]) -> dict[str, str]:
    """Return how each step of a run came up to date."""
    return {step["name"]: step["state"] for step in ran["steps"]}


def merged(params: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes laid over them, mapping by mapping; a mapping with a name is a
    plugin, and is replaced.
    """
    result = dict(params)
    for key, value in changes.items():
        deeper = (
            isinstance(value, Mapping)
            and "name" not in value
            and isinstance(result.get(key), Mapping)
        )
        result[key] = merged(result[key], value) if deeper else value
    return result


def project(root: Path, changes: Mapping[str, Any], files: Sequence[Path] = ()) -> House:
    """Make a project as a clone has it: the repository's settings with changes laid over them,
    under git and DVC, nothing run yet.
    """
    home = root.parent / f"home of {root.name}"
    root.mkdir(parents=True)
    home.mkdir()
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, root / name)
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(REPOSITORY / ".dvc" / name, root / ".dvc" / name)
    for file in files:
        shutil.copy(file, root / file.name)
    params = merged(yaml.safe_load((REPOSITORY / "params.yaml").read_text()), changes)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    made = House(root, home)
    made.git("init", "-q")
    made.commit("A project")
    return made
