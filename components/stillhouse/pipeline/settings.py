"""params.yaml as a run sees it: parsed, overlaid, every section checked before anything is
computed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stillhouse import config, plugins
from stillhouse.distillation.arms import arms_of
from stillhouse.distillation.controls import DEFAULT
from stillhouse.errors import SettingsError, UsageError, nearest
from stillhouse.params import overlay, parse
from stillhouse.pipeline import budget
from stillhouse.steps.step import Step

PLAIN = ("model", "plugins")
RELEASE = "release"


@dataclass(frozen=True)
class Release:
    """Settings of section `release`.

    Attributes:
        approval: Register a passing student as challenger and leave the promotion to `stillhouse
            promote`.
    """

    approval: bool = False


def read(root: Path, sets: Sequence[str] = ()) -> dict[str, Any]:
    """Return the resolved settings of the project at `root`.

    Args:
        root: The folder of params.yaml.
        sets: `a.b=value` texts, laid over it for this run.

    Raises:
        SettingsError: The file is missing or broken, or a setting has no place in it.
    """
    path = root / "params.yaml"
    if not path.is_file():
        raise SettingsError(
            "there is no params.yaml here.", where=str(root), fix="Go to your project's folder."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError(
            "the file is not UTF-8 text.", where="params.yaml", fix="Save it as UTF-8."
        ) from None
    return overlay(parse(text), sets)


def check(params: Mapping[str, Any], steps: Mapping[str, Step], root: Path) -> dict[str, Any]:
    """Check every section, its plugins and its search spaces; return the settings with absent
    sections as empty ones, and without the budget: it changes no result.

    Raises:
        SettingsError: Anything unknown, of a wrong type or out of bounds; the message has the path,
            the value and the fix.
    """
    known = [*PLAIN, *steps, RELEASE, budget.KEY]
    for key in params:
        if key not in known:
            raise SettingsError(
                f"unknown section '{key}'.", where="params.yaml", fix=nearest(key, known)
            )
    model = params.get("model", "")
    if (
        not isinstance(model, str)
        or not model.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or "--" in model
    ):
        raise SettingsError(
            f"{model!r} is no model name.",
            where="model",
            fix="Use letters, digits, '-', '_' and '.', without '--'.",
        )
    plugins.use(config.adapt(list[str], params.get("plugins") or [], where="plugins"), root)
    resolved: dict[str, Any] = {"model": model, "plugins": list(params.get("plugins") or [])}
    for name in [*steps, RELEASE]:
        section = params.get(name)
        if section is not None and not isinstance(section, Mapping):
            raise SettingsError(
                f"a section must be a mapping, not {section!r}.", where=name, fix="Write name: {…}."
            )
        if name != "distill":
            config.refuse_spaces(section or {}, name)
        resolved[name] = dict(section or {})
    config.build(Release, resolved[RELEASE], where=RELEASE)
    budget.seconds(params)
    for step in steps.values():
        step.check(resolved)
    _refuse_absent_controls(resolved)
    _fit_declared(resolved, steps)
    return resolved


def _refuse_absent_controls(params: Mapping[str, Any]) -> None:
    """Refuse rules against a control that is not trained: they would hold every student, for ever
    "not measured".
    """
    trained = arms_of(params.get("distill"))
    for at, rule in enumerate((params.get("gate") or {}).get("rules") or ()):
        against = rule.get("against")
        if against in DEFAULT and against not in trained:
            raise SettingsError(
                f"the rule compares with the control '{against}', which this run does not train.",
                where=f"gate.rules.{at}.against",
                fix=f"Add {against} to distill.controls, or leave the rule out.",
            )


def _fit_declared(params: Mapping[str, Any], steps: Mapping[str, Step]) -> None:
    """Refuse settings that no form of the task that the source declares has."""
    from stillhouse.evaluation.tasks import variants
    from stillhouse.steps.prepare import declared

    name = declared(params)
    for step in steps.values() if name else ():
        refusals = []
        for task in variants(str(name)):
            try:
                step.fits(params, task)
            except (SettingsError, UsageError) as error:
                refusals.append(error)
        if len(refusals) == len(variants(str(name))):
            raise refusals[-1]


def fit(params: Mapping[str, Any], steps: Mapping[str, Step], schema: Mapping[str, Any]) -> None:
    """Refuse settings that mean nothing for rows of a schema, before a teacher is trained.

    Args:
        params: Resolved settings.
        steps: By name.
        schema: As the step `prepare` left it.

    Raises:
        SettingsError: A rule, an objective or a gate asks for what is not measured here.
        UsageError: The method or the selector is for another task.
    """
    from stillhouse.data.schema import Schema
    from stillhouse.evaluation.tasks import task_of

    task = task_of(Schema.from_dict(dict(schema)))
    for step in steps.values():
        step.fits(params, task)


def dump(params: Mapping[str, Any]) -> str:
    """Return settings as the YAML text that DVC reads in place of params.yaml."""
    return yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True)
