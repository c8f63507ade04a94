"""What a study searches: the search spaces that stand in `distill`, as Optuna's distributions, and
a trial's values back in their places.

A space is called by its path, such as `optimizer.lr` or `method.parts.0.temperature`. Each arm
searches the spaces of the settings that it has: those inside `method` are the student's alone, as
no other arm has a method. What decides how long an arm trains is searched by the student and shared
by the others.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stillhouse import config
from stillhouse.errors import SettingsError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Section = Mapping[str, Any]
Params = Mapping[str, Any]

BUDGET = ("epochs", "batch", "patience", "seeds")


def distributions(section: Section, where: str = "distill") -> "dict[str, BaseDistribution]":
    """Return what Optuna draws from, by path name, sorted: a seed gives the same values whatever
    order the file has.

    Args:
        section: The section with its spaces.
        where: Its path in params.yaml, for messages.

    Raises:
        SettingsError: A space is not one of the three forms.
    """
    found = {
        ".".join(path): _distribution(space, ".".join((where, *path)))
        for path, space in config.spaces(section)
    }
    return {name: found[name] for name in sorted(found)}


def _distribution(space: Mapping[str, Any], where: str) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    ends = config.ends(space, where)
    log, step = bool(space.get("log", False)), space.get("step")
    if "choice" in space:
        return CategoricalDistribution([_written(choice) for choice in ends])
    if step is not None and (
        log or isinstance(step, bool) or not isinstance(step, int | float) or step <= 0
    ):
        raise SettingsError(
            f"the step {step!r} does not fit.",
            where=where,
            fix="Give a number above 0, and either log or step.",
        )
    if "int" in space:
        width = 1 if step is None else int(step)
        if width != (step or 1):
            raise SettingsError(
                f"whole numbers need a whole step, not {step!r}.",
                where=where,
                fix="Write step: 1, 2, 3 …",
            )
        return IntDistribution(
            ends[0], ends[0] + (ends[1] - ends[0]) // width * width, log=log, step=width
        )
    if step is None:
        return FloatDistribution(ends[0], ends[1], log=log)
    low, high, stride = (
        Decimal(str(value)) for value in (*ends, step)
    )  # as Optuna counts steps: 0.3 three times is 0.9
    return FloatDistribution(ends[0], float(low + (high - low) // stride * stride), step=step)


def _written(choice: Any) -> str | int | float | bool | None:
    """Optuna stores only plain values; a list or a mapping (a plugin, say) is drawn as its JSON
    text.
    """
    return (
        choice
        if choice is None or isinstance(choice, str | int | float)
        else json.dumps(choice, sort_keys=True)
    )


def resolve(section: Section, params: Params) -> dict[str, Any]:
    """Return the section with a trial's values in place of its spaces.

    Args:
        section: The section with its spaces.
        params: Path name → value, one for each space.

    Raises:
        SettingsError: A space has no value: the trial belongs to other settings.
    """
    resolved: Any = section
    for path, space in config.spaces(section):
        name = ".".join(path)
        if name not in params:
            raise SettingsError(
                f"the trial has no value for '{name}'.",
                where="distill",
                fix="Run the step tune again.",
            )
        resolved = config.put(resolved, path, _meant(space, params[name]))
    return dict(resolved)


def _meant(space: Mapping[str, Any], value: Any) -> Any:
    if "choice" not in space:
        return value
    return next(
        choice
        for choice in space["choice"]
        if _written(choice) == value and isinstance(_written(choice), type(value))
    )


def share_budget(section: Section, student: Section) -> dict[str, Any]:
    """Return a control's section with the student's choice wherever the budget is searched, so that
    every arm takes the same steps.

    Args:
        section: The control's, with its spaces.
        student: The student's chosen settings.
    """
    shared: Any = section
    for path, _ in config.spaces(section):
        if path[0] in BUDGET:
            shared = config.put(shared, path, student[path[0]])
    return dict(shared)
