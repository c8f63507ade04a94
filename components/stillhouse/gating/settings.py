"""The rules of params.yaml, made from their settings; a rule's kind may be left out where its keys
tell it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stillhouse import config
from stillhouse.errors import SettingsError, nearest
from stillhouse.gating import metrics
from stillhouse.gating.rule import Rule

WHERE = "gate.rules"


def parse(specs: Sequence[Any], known: Collection[str] | None = None) -> tuple[Rule, ...]:
    """Return the rules that a list of mappings describes.

    Args:
        specs: `{metric, at_least | at_most}` is a threshold, `{metric, against, margin}` is paired;
            any other plugin needs its name.
        known: Metrics that the run will have; all that there are by default.

    Raises:
        SettingsError: There are no rules or none that gates, a key or metric is unknown, or a
            search space stands among them.
        PluginNotFound: No rule has that name.
    """
    config.refuse_spaces(list(specs), WHERE)
    if not specs:
        raise SettingsError(
            "a gate without rules promotes anything.",
            where=WHERE,
            fix="Write one, such as {metric: test/accuracy, at_least: 0.9}.",
        )
    rules = tuple(
        _rule(spec, f"{WHERE}.{at}", metrics.known_metrics() if known is None else known)
        for at, spec in enumerate(specs)
    )
    if not any(rule.gates and not rule.guards for rule in rules):
        raise SettingsError(
            "every rule is only watched (gates: false) or an alarm: such a gate promotes anything.",
            where=WHERE,
            fix="Let one of them gate, such as {metric: test/accuracy, at_least: 0.9}.",
        )
    return rules


def _rule(spec: Any, where: str, known: Collection[str]) -> Rule:
    complete = named(spec, where)
    if isinstance(complete.get("metric"), str):
        _check_metric(complete["metric"], where, known)
    try:
        made: Rule = config.plugin("rules", complete, where=where)
    except SettingsError as error:
        if not error.where.startswith(where):  # a constructor does not know its place in the list
            error.where = where + error.where.removeprefix(WHERE)
        raise
    if made.metric:
        _check_metric(made.metric, where, known)
    return made


def _check_metric(name: str, where: str, known: Collection[str]) -> None:
    if not metrics.allows(known, name):
        what = (
            f"this run does not measure '{name}'."
            if metrics.find(name)
            else f"there is no metric '{name}'."
        )
        raise SettingsError(
            what + _hint(name), where=f"{where}.metric", fix=nearest(name, list(known))
        )


def named(spec: Any, where: str) -> dict[str, Any]:
    """Return a rule's settings with its `name`, which its keys tell where it was left out.

    Raises:
        SettingsError: It is no mapping, or its keys do not tell.
    """
    if not isinstance(spec, Mapping):
        raise SettingsError(
            f"a rule is a mapping, not {spec!r}.",
            where=where,
            fix="Write {metric: test/accuracy, at_least: 0.9}.",
        )
    if "name" in spec:
        return dict(spec)
    bounded = "at_least" in spec or "at_most" in spec
    metric = metrics.find(str(spec.get("metric")))
    if "against" in spec and not (bounded and metric is not None and metric.champion):
        return {"name": "paired", **spec}
    if bounded:
        return {"name": "threshold", **spec}
    keys = ["metric", "at_least", "at_most", "against", "margin", "gates", "name"]
    for key in spec:
        if key not in keys:
            raise SettingsError(
                f"unknown setting '{key}'.", where=where, fix=nearest(str(key), keys)
            )
    raise SettingsError(
        "the rule bounds nothing.",
        where=where,
        fix="Add at_least, at_most, or against with a margin.",
    )


def _hint(metric: str) -> str:
    if "latency" in metric or "cost" in metric or "seconds" in metric:
        return " Rules judge only what a rerun repeats, and clocks do not."
    if metric.startswith("val/"):
        return " The student was chosen on val, so that it cannot judge it."
    if metric.startswith("receipt/"):
        return " Compare row by row instead: {metric: test/accuracy, against: none, margin: 0}."
    return ""
