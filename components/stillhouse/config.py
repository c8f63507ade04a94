"""Settings at the edge: search spaces, and typed things built by their own signatures.

A dataclass or a plugin's constructor is the schema: its annotations give types and bounds
(`Annotated[float, Gt(0)]`), its defaults the defaults.
"""

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Interval
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from stillhouse import plugins
from stillhouse.errors import PluginNotFound, SettingsError, nearest

T = TypeVar("T")

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Seed = Annotated[int, Interval(ge=0, lt=2**32)]  # numpy's generators take no larger one
Temperature = Annotated[float, Interval(gt=0, le=1e3)]
"""Of soft labels: above this bound single precision tells no two answers apart."""


@dataclass(frozen=True)
class IsInput:
    """Marks a setting that names a file or folder: its sha256 makes the step stale."""


InputFile = Annotated[str, IsInput()]
Spec = Mapping[str, Any]
"""A plugin in params.yaml: `{name: kd, temperature: 4}`."""

EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # 1e-3, which YAML 1.1 takes for text
SPACE_KINDS = ("float", "int", "choice")


# --- search spaces ------------------------------------------------------------------------------


def is_space(value: object) -> bool:
    """Whether a value stands for a search: `{float: [1, 20], log: true}`, `{int: [1, 8]}` or
    `{choice: [a, b]}`.
    """
    return (
        isinstance(value, Mapping)
        and any(kind in value for kind in SPACE_KINDS)
        and "name" not in value
    )


def ends(space: Mapping[str, Any], where: str) -> list[Any]:
    """Return the values of a search space that its plugin must accept: both ends, or every choice.

    Raises:
        SettingsError: The space is not one of the three forms, or its ends are in the wrong order.
    """
    kind = next(k for k in SPACE_KINDS if k in space)
    values = space[kind]
    odd = set(space) - {kind, "log", "step"}
    if odd:
        raise SettingsError(
            f"a search space has no '{sorted(odd)[0]}'.",
            where=where,
            fix="Known: float, int, choice, log, step.",
        )
    if not isinstance(values, list) or not values or (kind != "choice" and len(values) != 2):
        raise SettingsError(
            f"'{kind}' needs "
            f"{'a list of choices' if kind == 'choice' else 'two ends [low, high]'}, not "
            f"{values!r}.",
            where=where,
            fix="Write {float: [1, 20]}.",
        )
    if kind == "choice":
        return values
    for value in values:
        if _is_decimal(value):
            raise _pointless(value, where)
    wanted = (int,) if kind == "int" else (int, float)
    if (
        not all(
            isinstance(v, wanted)
            and not isinstance(v, bool)
            and (isinstance(v, int) or math.isfinite(v))
            for v in values
        )
        or values[0] > values[1]
    ):
        raise SettingsError(
            f"the ends {values!r} are not two finite {kind}s in rising order.",
            where=where,
            fix="Write {float: [low, high]}.",
        )
    if space.get("log") and values[0] <= 0:
        raise SettingsError(
            f"a log space needs ends above 0, not {values!r}.",
            where=where,
            fix="Raise the lower end, or leave log out.",
        )
    return [float(v) for v in values] if kind == "float" else values


def spaces(
    value: object, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield (path, space) for every search space inside a setting; list indices are path parts
    too.
    """
    if is_space(value):
        yield path, typing.cast(Mapping[str, Any], value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from spaces(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from spaces(inner, (*path, str(index)))


def put(value: Any, path: tuple[str, ...], new: object) -> Any:
    """Return a copy of `value` with `new` in the place that `path` names."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        return [put(v, rest, new) if str(i) == head else v for i, v in enumerate(value)]
    return {k: put(v, rest, new) if k == head else v for k, v in value.items()}


def refuse_spaces(section: object, where: str) -> None:
    """Refuse a search space outside `distill`.

    Raises:
        SettingsError: The section holds one.
    """
    for path, space in spaces(section):
        raise SettingsError(
            f"a search space ({dict(space)}) may stand only under distill.",
            where=".".join((where, *path)),
            fix="Give one value here, or move the search to distill.",
        )


# --- building by signature ----------------------------------------------------------------------


@cache
def parameters(make: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return name → (annotation, default) of what a dataclass or constructor takes; a missing
    default is `...`.

    Raises:
        SettingsError: A parameter has no annotation: nothing could be checked.
    """
    target = make.__init__ if inspect.isclass(make) else make
    if target is object.__init__:
        return {}
    hints = typing.get_type_hints(target, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(make).parameters.items():
        if name not in hints:
            raise SettingsError(
                f"the parameter '{name}' of {make.__name__} has no type.",
                fix="Annotate it: its type is its schema.",
            )
        found[name] = (
            hints[name],
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
    return found


def build(make: Callable[..., T], params: Mapping[str, Any] | None, *, where: str) -> T:
    """Make a dataclass or a plugin from settings, checked by its own signature.

    Args:
        make: A class or function whose parameters are annotated.
        params: The settings; None and a missing key mean the default.
        where: The path in params.yaml, for messages.

    Raises:
        SettingsError: An unknown key (with the nearest), a missing one, a wrong type or a value out
            of bounds.
    """
    return make(**checked(make, params, where=where))


def checked(
    make: Callable[..., Any], params: Mapping[str, Any] | None, *, where: str
) -> dict[str, Any]:
    """Return the settings of `make` as it will get them: typed, bounded, defaults filled in.

    Errors as `build`.
    """
    known = parameters(make)
    given = dict(params or {})
    for key in given:
        if key not in known:
            raise SettingsError(
                f"unknown setting '{key}'.",
                where=where,
                fix=nearest(key, list(known)) if known else "It takes no settings.",
            )
    schema = _schema(make)
    try:
        model = schema.model_validate(given)
    except ValidationError as error:
        raise _explain(error, where) from None
    return {name: getattr(model, name) for name in known}


@cache
def _schema(make: Callable[..., Any]) -> type[BaseModel]:
    """Making the schema costs a hundred times what the check does, and a study checks the same few
    classes in every trial.
    """
    known = parameters(make)
    strict = ConfigDict(
        extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=()
    )
    fields: dict[str, Any] = {
        name: (_relax(kind), default) for name, (kind, default) in known.items()
    }
    model: type[BaseModel] = create_model(f"Settings_{make.__name__}", __config__=strict, **fields)
    return model


def _relax(annotation: Any) -> Any:
    """Let YAML's list stand for a tuple; everything else stays strict (a string is no number)."""
    from pydantic import BeforeValidator

    inner = (
        typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
    )
    parts = typing.get_args(inner) if isinstance(inner, types.UnionType) else (inner,)
    if any(typing.get_origin(part) is tuple for part in parts):
        return Annotated[
            annotation, BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
        ]
    return annotation


def _explain(error: ValidationError, where: str) -> SettingsError:
    first = error.errors()[0]
    place = ".".join([where, *(str(part) for part in first["loc"])])
    if first["type"] == "missing":
        return SettingsError("this setting is required.", where=place, fix="Add it.")
    if first["type"] in ("dict_type", "mapping_type"):
        return SettingsError(
            f"must be a mapping, not {first['input']!r}.",
            where=place,
            fix="Write its settings by name, such as {name: …}.",
        )
    if first["type"] in ("float_type", "int_type") and _is_decimal(first["input"]):
        return _pointless(first["input"], place)
    said = first["msg"].replace("Input should be", "must be")
    return SettingsError(
        f"{said}, not {first['input']!r}.",
        where=place,
        fix="Mend it where it is set: in params.yaml, in --set or in the call.",
    )


def _is_decimal(value: object) -> bool:
    return isinstance(value, str) and EXPONENT.fullmatch(value) is not None


def _pointless(text: str, where: str) -> SettingsError:
    number, _, power = text.lower().partition("e")
    sign = "" if power[0] in "+-" else "+"
    written = f"{number if '.' in number else f'{number}.0'}e{sign}{power}"
    return SettingsError(
        f"'{text}' is text: YAML wants a point in a number with an exponent.",
        where=where,
        fix=f"Write {written}, or all its digits.",
    )


def plugin(point: str, spec: Spec, *, where: str) -> Any:
    """Make the plugin that `{name: …, …}` names.

    Raises:
        SettingsError: There is no `name`, or a setting does not fit.
        PluginNotFound: No plugin has that name.
    """
    name, rest = split_spec(point, spec, where=where)
    return build(plugins.load(point, name), rest, where=where)


def split_spec(point: str, spec: object, *, where: str) -> tuple[str, dict[str, Any]]:
    """Return a plugin's name and its settings.

    Raises:
        SettingsError: It is not a mapping with a `name`.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise SettingsError(
            f"needs a mapping with a name, not {spec!r}.",
            where=where,
            fix=f"Write {{name: …}} with one of: {', '.join(sorted(plugins.available(point)))}.",
        )
    try:
        plugins.find(point, spec["name"])
    except PluginNotFound as error:
        error.where = f"{where}.name"
        raise
    return spec["name"], {k: v for k, v in spec.items() if k != "name"}


def check_spec(point: str, spec: Spec, *, where: str) -> None:
    """Check a plugin's settings without making it; a search space is checked at both ends. A plugin
    that can say more says it in a static `check(settings, *, where)`.

    Errors as `plugin`.
    """
    name, rest = split_spec(point, spec, where=where)
    make = plugins.load(point, name)
    trials: list[tuple[dict[str, Any], str]] = [
        ({k: v for k, v in rest.items() if not is_space(v)}, where)
    ]
    for key, value in rest.items():
        if is_space(value):
            trials = [
                ({**given, key: end}, where)
                for given, _ in trials
                for end in ends(value, f"{where}.{key}")
            ]
    early = getattr(make, "check", None)
    for given, place in trials:
        found = checked(make, given, where=place)
        if early is not None:
            early(found, where=place)


def adapt(annotation: Any, value: object, *, where: str) -> Any:
    """Return `value` checked against a type outside any signature. Errors as `build`."""
    try:
        return TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        raise _explain(error, where) from None


def input_files(make: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of `make` that name a file or folder, by setting."""
    marked = {
        name
        for name, (annotation, _) in parameters(make).items()
        if IsInput() in getattr(annotation, "__metadata__", ())
    }
    return {name: str(params[name]) for name in marked if isinstance(params.get(name), str)}


def file_of(path: str, root: Path) -> Path:
    """Return the place of a file that a setting names: relative paths start at params.yaml."""
    return Path(path) if Path(path).is_absolute() else root / path
