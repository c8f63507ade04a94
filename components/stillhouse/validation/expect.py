"""Ask Great Expectations; what it decides, counts."""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError
from stillhouse.validation import leakage, table
from stillhouse.validation.expectation import rows_of
from stillhouse.validation.own import judged
from stillhouse.validation.settings import Settings
from stillhouse.validation.suite import Expected, named_columns, suite
from stillhouse.validation.verdict import Finding, Verdict

KEPT = 100  # row numbers that a finding keeps
LOUD = (
    "great_expectations",
    "great_expectations.data_context.types.base",
)  # the second sets its own level
PLACE = "stillhouse"  # the key under which an expectation carries its place in the suite


def expect(
    splits: Mapping[str, Dataset],
    settings: Settings,
    *,
    by: str,
    written: Sequence[Mapping[str, Any]] = (),
    keys: Mapping[int, str] = {},
) -> Verdict:
    """Judge the prepared rows.

    Args:
        splits: train (as the student may see it), val and test, in this order.
        settings: The section `validate`.
        by: How rows were divided: row, group or time.
        written: What the user's own suite asks for (`suite_file.entries`).
        keys: Row number → its name in its owner's words, where it has one.

    Returns:
        Every expectation's result; nothing is refused here.

    Raises:
        SettingsError: The settings name a column that is not there, or an expectation that does not
            fit it.
    """
    shared = leakage.find(splits)
    every = rows_of(splits)
    rows = table.rows_table(every, shared, named_columns(settings, written))
    asked = suite(every.schema, settings, by=by, columns=frozenset(rows), written=written)
    own_columns, own_asked = judged(every, settings)
    expected = [*asked, *own_asked]
    found = {
        **_judge(expected, "rows", {**rows, **own_columns}, (table.ROW, table.SPLIT)),
        **(
            {}
            if every.schema.quantity is not None
            else _judge(expected, "classes", table.classes_table(splits), (table.CLASS,))
        ),
    }
    columns = {"rows": table.SPLITS_OF_ROW, "groups": table.SPLITS_OF_GROUP, "time": table.LATE}
    findings = tuple(_named(found[at], keys) for at in range(len(expected)))
    return Verdict(findings, _spotted(findings, columns))


def _named(finding: Finding, keys: Mapping[int, str]) -> Finding:
    return replace(finding, keys=tuple(keys[row] for row in finding.rows if row in keys))


def _spotted(findings: tuple[Finding, ...], columns: Mapping[str, str]) -> dict[str, list[int]]:
    return {
        name: sorted(
            {row for finding in findings if finding.column == column for row in finding.rows}
        )
        for name, column in columns.items()
    }


def _judge(
    expected: list[Expected], about: str, columns: table.Columns, index: tuple[str, ...]
) -> dict[int, Finding]:
    """Return findings by place in the suite for the expectations about one table."""
    import pandas as pd

    mine = {at: wanted for at, wanted in enumerate(expected) if wanted.about == about}
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": list(index)}
    with _quiet() as gx:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        batch = (
            context.data_sources.add_pandas(about)
            .add_dataframe_asset(about)
            .add_batch_definition_whole_dataframe(about)
        )
        made = context.suites.add(
            gx.ExpectationSuite(
                name=about, expectations=[_make(wanted, at) for at, wanted in mine.items()]
            )
        )
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=about, data=batch, suite=made)
        )
        results = definition.run(
            batch_parameters={"dataframe": pd.DataFrame(columns)}, result_format=form
        ).results
    places = [int(result.expectation_config.meta[PLACE]) for result in results]
    return {at: _finding(mine[at], result) for at, result in zip(places, results, strict=True)}


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """Keep Great Expectations from logging what its results say as well, and where its temporary
    folders are, and from taking other warnings into the log.
    """
    shown = warnings.showwarning
    import great_expectations as gx  # its loggers set their own levels as they are imported

    levels = {logger: logger.level for logger in map(logging.getLogger, LOUD)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield gx
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        logging.captureWarnings(False)  # importing it turned this on, for everybody's warnings
        warnings.showwarning = shown


def _make(wanted: Expected, at: int) -> Any:
    """Make the expectation; its class is found by name, whatever its capitals
    (ExpectColumnKLDivergenceToBeLessThan).
    """
    import great_expectations.expectations as every

    names = {name.lower(): name for name in dir(every)}
    made = getattr(every, names.get(wanted.type.replace("_", ""), ""), None)
    where = f"validate.expectations ({wanted.type})"
    if made is None:
        raise SettingsError(
            f"Great Expectations does not offer '{wanted.type}'.", where=where, fix="Take it out."
        )
    try:
        return made(**wanted.arguments, severity=wanted.severity, meta={PLACE: at})
    except (TypeError, ValueError) as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
        raise SettingsError(
            f"it does not take these settings: {said}.",
            where=where,
            fix="See the expectation's own documentation.",
        ) from None


def _finding(wanted: Expected, result: Any) -> Finding:
    _require_computed(wanted, result)
    found = result.result
    index = found.get("unexpected_index_list") or []
    splits = {str(entry[table.SPLIT]) for entry in index if table.SPLIT in entry}
    rows = (
        tuple(int(entry[table.ROW]) for entry in index[:KEPT] if table.ROW in entry)
        if not result.success
        else ()
    )
    count = int(found.get("unexpected_count") or 0)
    hidden = {"column", "value_set"} if wanted.called else {"column"}
    arguments = ", ".join(
        f"{name} {_text(value)}"
        for name, value in wanted.arguments.items()
        if name not in hidden and not (wanted.called and name == "mostly" and value == 1)
    )
    split = splits.pop() if len(splits) == 1 else "all"
    return Finding(
        split,
        wanted.column,
        wanted.name,
        arguments,
        wanted.severity,
        bool(result.success),
        _observed(found, index, count, called=bool(wanted.called) and wanted.about == "classes"),
        count,
        rows,
    )


def _require_computed(wanted: Expected, result: Any) -> None:
    """An expectation that could not be computed reads as failed; say so instead."""
    about = result.exception_info or {}
    entries = [about] if "raised_exception" in about else list(about.values())
    raised = [
        entry for entry in entries if isinstance(entry, Mapping) and entry.get("raised_exception")
    ]
    if raised:
        said = str(raised[0].get("exception_message", "")).splitlines()
        raise SettingsError(
            f"{wanted.type} on '{wanted.column}' could not be computed: "
            f"{said[0] if said else 'no reason was given'}.",
            where="validate.expectations" if wanted.own else "validate",
            fix="Choose an expectation that fits the column.",
        )


def _observed(
    found: Mapping[str, Any], index: list[Mapping[str, Any]], count: int, *, called: bool
) -> str:
    if "observed_value" in found:
        return _text(found["observed_value"])
    total = found.get("element_count", 0)
    if count == 0:
        return f"nothing unexpected in {total}"
    classes = [str(entry[table.CLASS]) for entry in index[:3] if table.CLASS in entry]
    texts = [_text(value) for value in found.get("partial_unexpected_list", [])]
    said = [f"{name} ({value})" for name, value in zip(classes, texts, strict=False)]
    different = list(dict.fromkeys(texts))
    values = said if called else classes or different[:3]
    more = count > len(values) if classes else len(different) > len(values)
    what = "classes" if classes else "rows"
    return f"{count} of {total} {what} unexpected: {', '.join(values)}{', …' if more else ''}"


def _text(value: Any) -> str:
    """Return a value in few characters, the same on every machine."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(v) for v in value[:6])}{', …' if len(value) > 6 else ''}]"
    if isinstance(value, float):
        return "missing" if math.isnan(value) else f"{value:.6g}"
    return "missing" if value is None else str(value)[:80]
