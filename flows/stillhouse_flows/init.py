"""`stillhouse init`: a project in the user's own repository that runs at once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from stillhouse import __version__, environment, plugins
from stillhouse.config import Spec
from stillhouse.errors import UsageError
from stillhouse.workspace import write_atomic
from stillhouse_flows.intake import look
from stillhouse_flows.intake.hints import Guess, Hints
from stillhouse_flows.intake.params_text import params_text
from stillhouse_flows.intake.plan import Plan, plan, read

TEMPLATES = Path(__file__).parent / "templates"
MINE = "my_plugins.py"
# What stands for data that are still to come.
STAND_INS: Mapping[str, Spec] = {
    "image": {"name": "digits"},
    "table": {"name": "breast_cancer"},
    "series": {"name": "my_recordings"},
}
OWN_NET: Spec = {"name": "my_student", "width": 32}


@dataclass(frozen=True)
class Wish:
    """What `stillhouse init` was asked for.

    Attributes:
        root: The folder that params.yaml comes to.
        data: A file or folder; None: data of ours stand in.
        hints: What the user said of the data.
        torch: Whether the student is a torch module of the user's.
        model: Its name in the registry; None: the folder's.
        force: Whether files that are there may be overwritten.
    """

    root: Path
    data: Path | None = None
    hints: Hints = field(default_factory=Hints)
    torch: bool = False
    model: str | None = None
    force: bool = False


@dataclass(frozen=True)
class Begun:
    """What was written.

    Attributes:
        root: The folder of params.yaml.
        written: Files that are new or changed, as seen from the root.
        kept: Files that were there and are as they were.
        dvc: How DVC was begun.
        guess: How the data are read.
        plan: The settings that fit them.
        kind: What rows are.
    """

    root: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    dvc: str
    guess: Guess
    plan: Plan
    kind: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "root": str(self.root),
            "written": list(self.written),
            "kept": list(self.kept),
            "dvc": self.dvc,
            "kind": self.kind,
            "source": dict(self.guess.source),
            "split": {**self.plan.split, "rows": self.plan.rows},
            "notes": [*self.guess.notes, *self.plan.notes],
        }


def begin(wish: Wish) -> Begun:
    """Write a project; nothing is written where something would be overwritten or cannot be read.

    Raises:
        UsageError: A file is there already, or the data leave something open.
        SourceError: The data cannot be read.
        DataError: They cannot be divided.
    """
    from stillhouse.pipeline.begin import begin_dvc, dvc_yaml, git_root

    stands_in = wish.data is None and wish.hints.kind == "series"
    own = (TEMPLATES / f"my_plugins{'_series' if stands_in else ''}.py.txt").read_text()
    top = git_root(wish.root) or wish.root.resolve()
    texts = {
        "params.yaml": "",
        "dvc.yaml": dvc_yaml(),
        MINE: own,
        "prefect.yaml": _filled("prefect.yaml", wish, top),
        _workflow(wish.root, top): _filled("ci.yml", wish, top),
    }
    _refuse_overwriting(wish, texts)
    guess, made, kind = _looked_at(wish, own)
    texts["params.yaml"] = params_text(
        guess, made, kind=kind, model=wish.model or name_of(wish.root), plugins=[MINE]
    )
    for name in ("gitignore", "dvcignore"):
        texts[f".{name}"] = joined(wish.root / f".{name}", (TEMPLATES / name).read_text())
    changed = tuple(name for name, text in texts.items() if write(wish.root / name, text))
    environment.prepare(wish.root)  # from here on, new folders are the user's alone
    began = begin_dvc(wish.root)
    (wish.root / ".dvc").chmod(0o755)
    kept = tuple(name for name in texts if name not in changed)
    return Begun(wish.root, changed, kept, began, guess, made, kind)


def _looked_at(wish: Wish, own: str) -> tuple[Guess, Plan, str]:
    """Read the data with the user's own classes at hand, which are not written yet."""
    with TemporaryDirectory() as folder:
        write_atomic(Path(folder, MINE), own.encode())
        plugins.use([MINE], Path(folder))
    found = _stand_in(wish) if wish.data is None else look.guess(wish.data, wish.root, wish.hints)
    guess, dataset = read(found, wish.root)
    student = OWN_NET if wish.torch else None
    return guess, plan(dataset, guess, student), dataset.schema.kind


def _stand_in(wish: Wish) -> Guess:
    kind = "image" if wish.hints.kind == "auto" else wish.hints.kind
    note = "these data stand in for yours: bring them with `stillhouse init --data FILE --force`."
    return Guess(STAND_INS[kind], "group" if kind == "series" else "row", (note,))


def name_of(root: Path) -> str:
    """Return a model's name after a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", root.resolve().name.lower()).strip("-") or "student"


def _workflow(root: Path, top: Path) -> str:
    """Return where GitHub looks for it, as seen from the project: in the repository's root."""
    up = "../" * len(root.resolve().relative_to(top).parts)
    name = "stillhouse" if not up else f"stillhouse-{name_of(root)}"
    return f"{up}.github/workflows/{name}.yml"


def _filled(name: str, wish: Wish, top: Path) -> str:
    below = wish.root.resolve().relative_to(top).as_posix()
    return Template((TEMPLATES / name).read_text()).substitute(
        model=wish.model or name_of(wish.root),
        version=__version__,
        folder=below,
        paths="**" if below == "." else f"{below}/**",
    )


def _refuse_overwriting(wish: Wish, names: Iterable[str]) -> None:
    there = [name for name in names if (wish.root / name).exists()]
    if there and not wish.force:
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already; nothing was "
            "written.",
            where=str(wish.root),
            fix="Name another folder (`stillhouse init FOLDER`), or say --force to overwrite.",
        )


def joined(path: Path, lines: str) -> str:
    """Return a file's text with the lines added that it lacks."""
    text = path.read_text() if path.is_file() else ""
    have = {line.strip() for line in text.splitlines()}
    more = [line for line in lines.splitlines() if line not in have]
    start = text if not text or text.endswith("\n") else text + "\n"
    return start + "".join(f"{line}\n" for line in more)


def write(path: Path, text: str) -> bool:
    """Write a file that people read too; return whether that changed it."""
    if path.is_file() and path.read_text() == text:
        return False
    write_atomic(path, text.encode())
    path.chmod(0o644)
    return True
