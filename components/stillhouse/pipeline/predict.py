"""Let the champion answer the rows of a file, as its schema reads them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project


def predict(project: "Project", file: Path) -> dict[str, Any]:
    """Return {"version", "rows": [{"class", "probability"}], "notes"}, a row of the file each; a
    quantity is told by "mean", or by quantile.

    A row that cannot be answered holds nulls and a "reason".

    Args:
        project: Whose champion.
        file: `.npz` with `inputs`, or `.csv` with the columns of the champion's schema by name, in
            any order; a target column may stand there and is not read.

    Raises:
        Refused: There is no champion yet.
        SourceError: The file is missing, broken, or its rows are not of the champion's shape.
    """
    from stillhouse.data.rows import read_rows
    from stillhouse.edge.session import Session
    from stillhouse.evaluation.tasks import task_of
    from stillhouse.release.champion import champion_model

    found = champion_model(project.registry)
    given = read_rows(file, found.schema)
    where = f"{project.model} version {found.version}"
    answers = task_of(found.schema).answers(
        Session(found.onnx, where=where).logits(given.inputs), found.schema
    )
    rows = [
        {**dict.fromkeys(answer), "reason": given.refused[at]} if at in given.refused else answer
        for at, answer in enumerate(answers)
    ]
    return {"version": found.version, "rows": rows, "notes": list(given.notes)}
