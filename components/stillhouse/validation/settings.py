"""What the section `validate` may say, beside what is expected from the schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from stillhouse import config
from stillhouse.config import InputFile, NonNegative, Share, Spec
from stillhouse.errors import SettingsError, nearest

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Limit:
    """A bound and how much it matters.

    Attributes:
        at_least: The smallest value that passes.
        at_most: The largest one.
        severity: `critical` stops the run; what the user writes is critical unless it says
            otherwise.
    """

    at_least: NonNegative | None = None
    at_most: NonNegative | None = None
    severity: Severity = "critical"


@dataclass(frozen=True)
class Settings:
    """The section `validate`. All of it may be left out.

    Attributes:
        rows_a_class: Labelled rows that each class has in all splits together: `{at_least: 2}`,
            critical.
        class_share: Each class's share of them: `{at_least: 0.01}`, a warning.
        duplicates: Share of rows that are equal to another one: `{at_most: 0.05}`, a warning;
            tables of few whole numbers have many.
        ranges: Column → [low, high], critical. For images and series the columns are mean, std,
            min, max.
        missing: Column, or `all` → the largest share of missing cells, critical; without it, half
            is a warning.
        expectations: Any of Great Expectations by its name, and a `severity`: `{type:
            expect_column_mean_to_be_between, column: age, min_value: 20}`; or one of our own or of
            yours: `{name: near_duplicates, similarity: 0.98, severity: critical, mostly: 0.99}`.
            Ours are asked anyway, as warnings; naming one replaces its settings.
        suite: A file that Great Expectations wrote (an ExpectationSuite as JSON); its expectations
            are asked too, critical unless they have a severity.
        leakage: How much rows or groups in two splits matter; `auto`: critical where the split
            should have kept them together, else a warning.
    """

    rows_a_class: Spec | None = None
    class_share: Spec | None = None
    duplicates: Spec | None = None
    ranges: Mapping[str, list[float]] | None = None
    missing: Mapping[str, Share] | None = None
    expectations: list[dict[str, Any]] | None = None
    suite: InputFile = ""
    leakage: Literal["auto", "critical", "warning", "info"] = "auto"


DEFAULTS = {
    "rows_a_class": Limit(at_least=2),
    "class_share": Limit(at_least=0.01, severity="warning"),
    "duplicates": Limit(at_most=0.05, severity="warning"),
}


def limit(settings: Settings, name: Literal["rows_a_class", "class_share", "duplicates"]) -> Limit:
    """Return a limit of the settings, or its default.

    Raises:
        SettingsError: It bounds nothing, or a share is above 1.
    """
    given: Spec | None = getattr(settings, name)
    if given is None:
        return DEFAULTS[name]
    found, where = config.build(Limit, given, where=f"validate.{name}"), f"validate.{name}"
    if found.at_least is None and found.at_most is None:
        raise SettingsError(
            "the limit bounds nothing.", where=where, fix="Write {at_least: …} or {at_most: …}."
        )
    if name == "duplicates" and found.at_least is not None:
        raise SettingsError(
            "duplicates have no smallest share.", where=where, fix="Write {at_most: …}."
        )
    if name != "rows_a_class" and max(found.at_least or 0, found.at_most or 0) > 1:
        raise SettingsError(
            "a share is at most 1.", where=where, fix="Write 0.05 for five percent."
        )
    return found


def expectation_names() -> list[str]:
    """Return the names of all expectations; each is a file of Great Expectations, which is not
    imported for it.
    """
    package = find_spec("great_expectations")
    places = package.submodule_search_locations if package else None
    return (
        sorted(f.stem for f in Path(places[0], "expectations", "core").glob("expect_*.py"))
        if places
        else []
    )


def check(settings: Settings) -> None:
    """Check what can be checked without data.

    Raises:
        SettingsError: A limit, a range or an expectation cannot be meant.
    """
    limit(settings, "rows_a_class"), limit(settings, "class_share"), limit(settings, "duplicates")
    for column, ends in (settings.ranges or {}).items():
        if len(ends) != 2 or not ends[0] <= ends[1]:
            raise SettingsError(
                f"{ends} is not a range.",
                where=f"validate.ranges.{column}",
                fix="Write [low, high].",
            )
    for at, entry in enumerate(settings.expectations or []):
        where = f"validate.expectations.{at}"
        if "name" in entry and "type" not in entry:
            config.check_spec("expectations", own_settings(entry), where=where)
        else:
            check_type(entry, where)
        check_severity(entry, where)


def own_settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plugin's name and settings, without what is Great Expectations'."""
    return {key: value for key, value in entry.items() if key not in ("severity", "mostly")}


def check_type(entry: Mapping[str, Any], where: str) -> None:
    """Check that an entry's `type` is one of Great Expectations.

    Raises:
        SettingsError: It has none, or an unknown one.
    """
    name = entry.get("type")
    if not isinstance(name, str):
        raise SettingsError(
            "an expectation needs a type or a name.",
            where=where,
            fix="Write {type: expect_column_values_to_be_between, column: …, min_value: …}.",
        )
    known = expectation_names()
    if name not in known:
        raise SettingsError(
            f"there is no expectation '{name}'.", where=f"{where}.type", fix=nearest(name, known)
        )


def check_severity(entry: Mapping[str, Any], where: str) -> None:
    """Check an entry's `severity`, and `mostly` of our own ones.

    Raises:
        SettingsError: It is none.
    """
    severity, mostly = entry.get("severity", "critical"), entry.get("mostly", 1.0)
    if severity not in ("critical", "warning", "info"):
        raise SettingsError(
            f"'{severity}' is no severity.",
            where=f"{where}.severity",
            fix="Known: critical, warning, info.",
        )
    if "name" in entry and (isinstance(mostly, bool) or not 0 <= mostly <= 1):
        raise SettingsError(
            f"mostly is {mostly!r}, not a share.",
            where=f"{where}.mostly",
            fix="Write 0.99: at least so many rows have to be as expected.",
        )
