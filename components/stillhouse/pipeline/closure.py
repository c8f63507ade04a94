"""Which source files a step depends on, found by reading imports, never by importing."""

import ast
import json
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from stillhouse import plugins
from stillhouse.workspace import Workspace, sha256

PACKAGE = Path(__file__).parent.parent

# Which plugins a step builds: point → the sections of params.yaml that name them.
Built = dict[str, tuple[str, ...]]
_TEACHER: Built = {"teachers": ("teacher",), "architectures": ("teacher",)}
# A method may ask the teacher live, so that the arms depend on its code too.
_ARMS: Built = {
    "views": ("knowledge",),
    "teachers": ("teacher",),
    "architectures": ("distill", "teacher"),
    "methods": ("distill",),
    "selectors": ("distill",),
}
BUILDS: dict[str, Built] = {
    "prepare": {"sources": ("prepare",)},
    "validate": {"expectations": ("validate",)},
    "teacher": _TEACHER,
    "knowledge": {**_TEACHER, "views": ("knowledge",)},
    "tune": _ARMS,
    "distill": _ARMS,
    "export": {"exporters": ("export",), "architectures": ("distill",)},
    "robustness": {
        "attacks": ("robustness",),
        "corruptions": ("robustness",),
        "teachers": ("teacher",),
        "architectures": ("distill", "teacher"),
    },
    "gate": {"rules": ("gate",), "attacks": ("robustness",)},
    "report": {},
}
# What steps build without being told: the arm `hard` learns by ce, the arm `none` from all rows.
ALWAYS = {
    "methods": {"ce"},
    "selectors": {"all"},
    "expectations": {"labels_agree", "near_duplicates", "usual_rows", "usual_recordings"},
}


def _imports(path: Path) -> list[str]:
    """Return the places, without suffix, that a file's import statements may mean, at any depth of
    the file.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            found |= {place for alias in node.names for place in _absolute(path, alias.name)}
        elif isinstance(node, ast.ImportFrom):
            bases = (
                _absolute(path, node.module or "")
                if not node.level
                else [path.parents[node.level - 1].joinpath(*(node.module or "").split("."))]
            )
            found |= {
                place
                for base in bases
                for place in (base, *(base / alias.name for alias in node.names))
            }
    return sorted({str(place) for place in found})


def _absolute(path: Path, module: str) -> list[Path]:
    """Return where a module may lie: ours in the package; a user's file also imports what lies
    beside it, or beside the package that it is part of.
    """
    parts = module.split(".")
    if parts[0] == PACKAGE.name:
        return [PACKAGE.joinpath(*parts[1:])]
    return [] if path.is_relative_to(PACKAGE) else [_top(path).joinpath(*parts)]


def _top(path: Path) -> Path:
    """Return the folder from which a user's file is imported: the first one upward that is no
    package.
    """
    return next(folder for folder in path.parents if not (folder / "__init__.py").is_file())


def _files(place: Path) -> list[Path]:
    """Return the source files that importing a place runs: the module itself, and the packages that
    it lies in.
    """
    module = next(
        (
            path
            for path in (place.with_name(f"{place.name}.py"), place / "__init__.py")
            if path.is_file()
        ),
        None,
    )
    if module is None:
        return []
    around = takewhile(Path.is_file, (folder / "__init__.py" for folder in module.parents))
    return [module, *around]


class Imports:
    """Import statements and hashes by file, kept between runs and read again only where a file's
    time or size changed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.name = ".stillhouse/sources.json"
        path = workspace.root / self.name
        try:
            self.known: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
        except ValueError:
            self.known = {}
        self.changed = False

    def of(self, path: Path) -> tuple[list[str], str]:
        """Return (places imported, sha256) of a file."""
        stat = path.stat()
        stamp = [stat.st_mtime_ns, stat.st_size]
        entry = self.known.get(str(path))
        if entry is None or entry["stamp"] != stamp:
            entry = {"stamp": stamp, "imports": _imports(path), "sha256": sha256(path)}
            self.known[str(path)] = entry
            self.changed = True
        return entry["imports"], entry["sha256"]

    def save(self) -> None:
        """Keep what was read."""
        if self.changed:
            self.workspace.write_json(self.name, self.known)

    def closure(self, roots: Iterable[Path]) -> dict[str, str]:
        """Return name → sha256 of every file that the roots reach by imports; ours are named from
        the package, others by themselves.
        """
        waiting, seen = list(roots), set(roots)
        while waiting:
            for place in self.of(waiting.pop())[0]:
                fresh = [path for path in _files(Path(place)) if path not in seen]
                seen.update(fresh)
                waiting += fresh
        return {self._name(path): self.of(path)[1] for path in sorted(seen)}

    def _name(self, path: Path) -> str:
        if path.is_relative_to(PACKAGE):
            return str(Path("stillhouse") / path.relative_to(PACKAGE))
        return str(
            path.relative_to(
                self.workspace.root if path.is_relative_to(self.workspace.root) else _top(path)
            )
        )


def _words(value: object) -> set[str]:
    """Return every text inside a section: a plugin may be named by any of them, alternatives in a
    space included.
    """
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        return set().union(*map(_words, value.values()), set(value)) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*map(_words, value)) if value else set()
    return set()


def plugin_files(step: str, params: Mapping[str, Any]) -> set[Path]:
    """Return the files of the plugins that a step builds under these settings, every alternative of
    a search space included.

    Of a point of which the sections name none, all built-in ones count: a default is taken. The
    rules' names may be left out, so all of them count.
    """
    found = set()
    for point, sections in BUILDS[step].items():
        words = _words([params.get(section) for section in sections])
        if point in ("architectures", "teachers"):
            found |= plugins.named_files(words)
        known = plugins.available(point)
        named = [plugin for name, plugin in known.items() if name in words]
        if point == "rules" or not named:
            named += [plugin for plugin in known.values() if plugin.origin == "stillhouse"]
        named += [plugin for name, plugin in known.items() if name in ALWAYS.get(point, ())]
        found |= {
            path for plugin in named if plugin.file is not None for path in _sources(plugin.file)
        }
    return found


def _sources(file: Path) -> Iterable[Path]:
    """Return a plugin's file; of a user's package every file, since it may choose what it imports
    as it runs.
    """
    return file.parent.rglob("*.py") if file.name == "__init__.py" else [file]
