"""Let the champion answer the rows of a file, as its schema reads them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project


def predict(project: "Project", file: Path) -> dict[str, Any]:
    """Return {"version", "rows": [{"class", "probability"}]}, a row of the file each.

    Args:
        project: Whose champion.
        file: `.npz` with `inputs`, or `.csv` with the columns of the champion's schema by name; a
            target column may stand there and is not read.

    Raises:
        Refused: There is no champion yet.
        SourceError: The file is missing, broken, or its rows are not of the champion's shape.
    """
    import torch

    from stillhouse.data.rows import read_rows
    from stillhouse.edge.session import Session
    from stillhouse.release.champion import champion_model

    found = champion_model(project.registry)
    inputs = read_rows(file, found.schema)
    logits = Session(found.onnx, where=f"{project.model} version {found.version}").logits(inputs)
    probabilities = torch.softmax(logits.double(), dim=1)
    best = probabilities.max(dim=1)
    rows = [
        {"class": found.schema.classes[int(c)], "probability": round(float(p), 6)}
        for p, c in zip(best.values, best.indices, strict=True)
    ]
    return {"version": found.version, "rows": rows}
