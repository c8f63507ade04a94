"""Let the champion answer the rows of a file, read as its own source reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse import config
from stillhouse.data.rows import Rows, read_rows
from stillhouse.errors import PluginNotFound, SettingsError

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project
    from stillhouse.release.champion import Champion


def predict(project: "Project", file: Path) -> dict[str, Any]:
    """Return {"version", "threshold", "rows": [{"class", "probability"}], "notes"}, a row of the
    file each; a quantity is told by "mean", or by quantile.

    Where rows have names (files, windows of a recording) each has its "row". A row that cannot be
    answered holds nulls and a "reason". Of two classes a row is called the one that is looked for
    from the threshold on that was chosen on val, as the receipt tells it; of several labels it is
    given each from its own on, where `distill.threshold` chose them.

    Args:
        project: Whose champion.
        file: What its source reads: a table with the columns that the champion learned from, in any
            order, with the target or without; an image, or a folder of them; lines of a series; or
            `.npz` with `inputs`.

    Raises:
        Refused: There is no champion yet.
        SourceError: The file is missing, broken, or its rows are not of the champion's shape.
    """
    from stillhouse.edge.session import Session
    from stillhouse.evaluation.tasks import task_of
    from stillhouse.release.champion import champion_model

    found = champion_model(project.registry)
    given, notes = _rows(found, file)
    told = threshold(found.receipt)
    where = f"{project.model} version {found.version}"
    logits = Session(found.onnx, where=where).logits(given.inputs)
    answers = task_of(found.schema).answers(logits, found.schema, _values(told))
    rows = [_row(given, at, answer) for at, answer in enumerate(answers)]
    return {
        "version": found.version,
        "threshold": told,
        "rows": rows,
        "notes": [*notes, *given.notes],
    }


def threshold(receipt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return {"class", "at"}: from which probability on a row is called the class that is looked
    for, or {"labels": {name: at}}: from which on it is given each label; None where the receipt
    tells of none.
    """
    each = receipt["evidence"].get("label_points")
    if each:
        return {"labels": {label["name"]: label["threshold"] for label in each["labels"]}}
    told = receipt["evidence"].get("two_classes")
    if not told:
        return None
    own = next(row for row in told["models"] if row["name"] == "student")
    return {"class": told["positive"], "at": own["threshold"]}


def _values(told: Mapping[str, Any] | None) -> list[float]:
    """Return the thresholds alone, a label each in the order of the schema."""
    if told is None:
        return []
    return list(told["labels"].values()) if "labels" in told else [told["at"]]


def _rows(found: "Champion", file: Path) -> tuple[Rows, list[str]]:
    spec = found.receipt["settings"]["prepare"]["source"]
    try:
        source = config.plugin("sources", spec, where="prepare.source")
    except (PluginNotFound, SettingsError):
        note = f"The source '{spec['name']}' is not here, so the file is read by its columns alone."
        return read_rows(file, found.schema), [note]
    return source.rows(file, found.schema), []


def _row(given: Rows, at: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    named = {"row": given.names[at]} if given.names else {}
    if at in given.refused:
        return {**named, **dict.fromkeys(answer), "reason": given.refused[at]}
    return {**named, **answer}
