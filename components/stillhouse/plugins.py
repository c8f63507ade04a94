"""Find plugins: a plugin's name is its file's name, and a file in its folder is all it takes.

Names are read from the source text, so that listing them imports nothing heavy. A user's own
plugins are the classes that a file or package named in params.yaml defines and that list one of the
base classes below among their bases.
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from stillhouse.errors import PluginNotFound, SettingsError, nearest

# What params.yaml says beside a plugin's own settings, in the same mapping: no constructor may ask
# for it.
RESERVED: dict[str, tuple[str, ...]] = {
    "methods": ("name", "weight"),
    "attacks": ("name", "norm", "epsilon"),
    "teachers": ("name", "gate"),
    "expectations": ("name", "severity", "mostly"),
}

# point -> (package that holds the built-in ones, base class)
POINTS: dict[str, tuple[str, str]] = {
    "methods": ("stillhouse.distillation.methods", "Method"),
    "architectures": ("stillhouse.architectures", "Architecture"),
    "attacks": ("stillhouse.attacks", "Attack"),
    "sources": ("stillhouse.data.sources", "Source"),
    "views": ("stillhouse.data.views", "View"),
    "teachers": ("stillhouse.teachers", "Teacher"),
    "selectors": ("stillhouse.distillation.selectors", "Selector"),
    "rules": ("stillhouse.gating.rules", "Rule"),
    "exporters": ("stillhouse.edge.exporters", "Exporter"),
    "corruptions": ("stillhouse.robustness.corruptions", "Corruption"),
    "expectations": ("stillhouse.validation.expectations", "Expectation"),
}


@dataclass(frozen=True)
class Plugin:
    """One plugin that can be named in params.yaml.

    Attributes:
        point: The list it belongs to, such as `methods`.
        name: What params.yaml calls it.
        origin: `stillhouse`, or the file, package or distribution that brought it.
        module: Its module; built-in ones are imported only when asked for.
        file: The source file, for code.lock.json; None where a distribution hides it.
    """

    point: str
    name: str
    origin: str
    module: str
    file: Path | None


_user: dict[tuple[str, str], Plugin] = {}
_user_modules: dict[str, ModuleType] = {}
_named: dict[str, ModuleType] = {}  # modules of single classes that a setting names
_root = Path()
MODULE_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def snake(name: str) -> str:
    """Return a class's name in snake case: MyKD is my_kd, PGDAttack is pgd_attack."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _base_names(node: ast.ClassDef) -> set[str]:
    return {
        base.attr if isinstance(base, ast.Attribute) else base.id
        for base in node.bases
        if isinstance(base, ast.Name | ast.Attribute)
    }


def _classes(path: Path, base: str) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return [
        n.name
        for n in tree.body
        if isinstance(n, ast.ClassDef) and not n.name.startswith("_") and base in _base_names(n)
    ]


@cache
def _builtin(point: str) -> dict[str, Plugin]:
    package, base = POINTS[point]
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    files = sorted(folder.glob("*.py")) if folder.is_dir() else []
    return {
        f.stem: Plugin(point, f.stem, "stillhouse", f"{package}.{f.stem}", f)
        for f in files
        if not f.name.startswith("_") and _classes(f, base)
    }


def available(point: str) -> dict[str, Plugin]:
    """Return the plugins of a point by name, the built-in ones and those that params.yaml named."""
    mine = {name: plugin for (at, name), plugin in _user.items() if at == point}
    return {**_builtin(point), **mine}


def find(point: str, name: str) -> Plugin:
    """Return the plugin of that name.

    Raises:
        PluginNotFound: There is none; the message names the nearest.
    """
    known = available(point)
    if name not in known:
        raise PluginNotFound(
            f"there is no plugin '{name}' among the {point}.",
            where=point,
            fix=nearest(name, list(known)),
        )
    return known[name]


def load(point: str, name: str) -> type[Any]:
    """Return the class behind a plugin's name; this imports its module.

    Raises:
        PluginNotFound: There is none of that name, or its file has more than one public class with
            that base.
    """
    plugin = find(point, name)
    if plugin.module in _user_modules:
        [made] = [
            c
            for c in _defined(_user_modules[plugin.module], POINTS[point][1])
            if snake(c.__name__) == name
        ]
        return made
    module = importlib.import_module(plugin.module)
    found = _defined(module, POINTS[point][1])
    if len(found) != 1:
        raise PluginNotFound(
            f"'{plugin.module}' defines {len(found)} public classes with the base "
            f"{POINTS[point][1]}, not one.",
            where=point,
        )
    return found[0]


def _defined(module: ModuleType, base: str) -> list[type[Any]]:
    """Return the public classes that the module itself defines with a base of that name."""
    classes = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if c.__module__ == module.__name__ and not c.__name__.startswith("_")
    ]
    return [c for c in classes if any(b.__name__ == base for b in c.__mro__[1:])]


def _import_file(path: Path, entry: str) -> ModuleType:
    name = f"stillhouse_user_{re.sub(r'[^0-9a-zA-Z]', '_', entry.removesuffix('.py'))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SettingsError(
            f"'{path.name}' is not a Python file.",
            where="plugins",
            fix="Name a .py file or a package.",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """A module that draws numbers as it is imported, which happens once in a process, must not move
    those that weights are drawn from. Nobody has drawn from a library that is not there yet.
    """
    numpy, torch = (sys.modules.get(name) for name in ("numpy", "torch"))
    python = random.getstate()
    of_numpy = numpy.random.get_state() if numpy else None
    of_torch = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(of_numpy)
        if torch:
            torch.set_rng_state(of_torch)


def _import_named(entry: str, root: Path) -> ModuleType:
    path = root / entry
    try:
        if entry.endswith(".py"):
            if not path.is_file():
                raise SettingsError(
                    f"there is no file '{entry}'.",
                    where="plugins",
                    fix="Paths are relative to params.yaml.",
                )
            with _random_states_kept():
                return _import_file(path, entry)
        if str(root) not in sys.path and (root / entry.partition(".")[0]).is_dir():
            sys.path.insert(0, str(root))
        points = [e for e in _offered() if e.name == entry]
        with _random_states_kept():
            return importlib.import_module(points[0].value.partition(":")[0] if points else entry)
    except SettingsError:
        raise
    except Exception as error:
        raise SettingsError(
            f"'{entry}' could not be imported: {type(error).__name__}: {error}",
            where="plugins",
            fix="Mend the file, or take it out of plugins.",
        ) from error


def use(entries: Iterable[str], root: Path) -> None:
    """Import the files and packages that params.yaml names under `plugins`, and register the
    classes they define.

    Args:
        entries: Files (`my_plugins.py`, relative to `root`), importable packages, or names of entry
            points.
        root: The folder that holds params.yaml.

    Raises:
        SettingsError: A file is missing or does not import, defines no plugin, a name is taken, or
            a constructor asks for a word that params.yaml uses itself.
    """
    global _root
    _user.clear()
    _user_modules.clear()
    _named.clear()
    _root = root
    for entry in entries:
        module = _import_named(entry, root)
        _user_modules[module.__name__] = module
        found = [(point, c) for point, (_, base) in POINTS.items() for c in _defined(module, base)]
        if not found:
            raise SettingsError(
                f"'{entry}' defines no plugin.",
                where="plugins",
                fix=f"A plugin lists one of {', '.join(b for _, b in POINTS.values())} among its "
                "bases.",
            )
        for point, made in found:
            name = snake(made.__name__)
            if name in available(point):
                raise SettingsError(
                    f"'{entry}' defines '{name}', a name that is taken among the {point}.",
                    where="plugins",
                    fix="Rename the class.",
                )
            _refuse_reserved(entry, point, made)
            file = Path(module.__file__) if module.__file__ else None
            _user[point, name] = Plugin(point, name, entry, module.__name__, file)


def _refuse_reserved(entry: str, point: str, made: type[Any]) -> None:
    for name in RESERVED.get(point, ("name",)):
        if name in inspect.signature(made).parameters:
            raise SettingsError(
                f"'{entry}': {made.__name__} takes a setting '{name}', a word that "
                "params.yaml uses itself.",
                where="plugins",
                fix="Rename the parameter.",
            )


def user_files() -> dict[str, Path]:
    """Return the source file of each module that params.yaml named, by the module's name."""
    return {
        name: Path(module.__file__) for name, module in _user_modules.items() if module.__file__
    }


def named(text: str, *, where: str) -> Any:
    """Return what `my_models:Net` names: a class or function of a file or package beside
    params.yaml, or of an installed package.

    Raises:
        SettingsError: It is no such name, the module does not import, or has no such thing.
    """
    found = MODULE_NAME.fullmatch(text)
    if found is None:
        raise SettingsError(
            f"'{text}' names no class of a module.", where=where, fix="Write my_models:Net."
        )
    module, name = found.groups()
    if module not in _named:
        file = f"{module.replace('.', '/')}.py"
        single = "." not in module and (_root / file).is_file()
        try:
            _named[module] = _import_named(file if single else module, _root)
        except SettingsError as error:
            error.where, error.fix = where, "Mend the file; it lies beside params.yaml."
            raise
        if single:
            _user_modules[_named[module].__name__] = _named[module]
    if not hasattr(_named[module], name):
        raise SettingsError(
            f"'{module}' has no '{name}'.",
            where=where,
            fix=nearest(name, [each for each in vars(_named[module]) if not each.startswith("_")]),
        )
    return getattr(_named[module], name)


def named_files(words: Iterable[str]) -> set[Path]:
    """Return the files beside params.yaml that settings such as `my_models:Net` name; of a package
    all of them. Nothing is imported.
    """
    found = set()
    for word in words:
        match = MODULE_NAME.fullmatch(word)
        place = _root.joinpath(*match[1].split(".")) if match else None
        if match and place and place.with_suffix(".py").is_file():
            found.add(place.with_suffix(".py"))
        top = _root / match[1].partition(".")[0] if match else _root
        if match and (top / "__init__.py").is_file():
            found |= set(top.rglob("*.py"))
    return found


def installed() -> list[tuple[str, str]]:
    """Return (point, name) of the entry points that other distributions offer; none of them is
    imported.
    """
    return [(e.group.removeprefix("stillhouse."), e.name) for e in _offered()]


def _offered() -> list[EntryPoint]:
    groups = (f"stillhouse.{point}" for point in POINTS)
    return [entry for group in groups for entry in entry_points(group=group)]
