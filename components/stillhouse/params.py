"""The text of params.yaml, and `--set` laid over it for one run."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from stillhouse.errors import SettingsError


def parse(text: str, where: str = "params.yaml") -> dict[str, Any]:
    """Return the mapping that a YAML text holds.

    Raises:
        SettingsError: It is not YAML, or not a mapping; the message has the line.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        opened = getattr(error, "context_mark", None)
        problem = (getattr(error, "problem", None) or "not readable") + (
            f", opened in line {opened.line + 1}" if opened else ""
        )
        raise SettingsError(
            f"not valid YAML: {problem}.",
            where=place,
            fix="Mend the line; brackets and quotes must close.",
        ) from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SettingsError(
            "the file must be a mapping of sections.",
            where=where,
            fix="See the README for its shape.",
        )
    return found


def parse_set(text: str) -> tuple[list[str], Any]:
    """Return path and value of one `--set a.b=value`; the value is YAML.

    Raises:
        SettingsError: There is no `=`, an empty name, or the value is not YAML.
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SettingsError(
            f"'{text}' is not a setting.", where="--set", fix="Write --set section.name=value."
        )
    try:
        return keys, yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(
            f"the value '{value}' is not valid YAML.",
            where=f"--set {path}",
            fix="Quote it for the shell: --set 'a.b=[{c: 1}]'.",
        ) from None


def overlay(params: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Return `params` with each `a.b=value` laid over it; `params` itself is left alone.

    `X.name=…` replaces the whole of X, so that the new plugin starts from its own defaults; names
    go first, outer ones before inner ones, whatever the order they were typed in.
    """
    merged = copy.deepcopy(dict(params))
    changes = sorted(
        (parse_set(text) for text in sets),
        key=lambda change: (
            change[0][-1] != "name",
            len(change[0]) if change[0][-1] == "name" else 0,
        ),
    )
    for keys, value in changes:
        place = merged
        for depth, key in enumerate(keys[:-1]):
            if place.get(key) is None:
                place[key] = {}
            if not isinstance(place[key], dict):
                raise SettingsError(
                    f"'{'.'.join(keys[: depth + 1])}' is not a mapping.",
                    where=f"--set {'.'.join(keys)}",
                    fix="Set the whole of it.",
                )
            if depth == len(keys) - 2 and keys[-1] == "name":
                place[key] = {}
            place = place[key]
        place[keys[-1]] = value
    return merged
