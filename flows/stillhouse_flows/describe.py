"""What `stillhouse data describe FILE` says: what a file holds, and what would be made of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stillhouse.data.dataset import UNLABELLED, Dataset, row_digests
from stillhouse_flows.intake import look
from stillhouse_flows.intake.hints import Guess, Hints
from stillhouse_flows.intake.params_text import prepare_text
from stillhouse_flows.intake.plan import plan, read


def describe(path: Path, root: Path, hints: Hints) -> dict[str, Any]:
    """Return what a file holds and what would be inferred from it, ready for JSON.

    Raises:
        SourceError: The file is missing, or nothing can be learned from it.
        UsageError: Something must be said that the data do not say.
        DataError: Its rows cannot be divided.
    """
    guess = look.guess(path, root, hints)
    dataset = read(guess, root)
    made = plan(dataset, guess, root)
    schema, known = dataset.schema, dataset.targets[dataset.targets != UNLABELLED]
    counts = torch.bincount(known, minlength=len(schema.classes)).tolist()
    return {
        "file": str(path),
        "kind": schema.kind,
        "rows": len(dataset),
        "row_shape": list(schema.shape),
        "unlabelled": len(dataset) - len(known),
        "duplicates": len(dataset) - len(set(row_digests(dataset.inputs))),
        "groups": None if dataset.groups is None else len(set(dataset.groups.tolist())),
        "classes": [
            {"name": name, "rows": count, "share": count / max(len(known), 1)}
            for name, count in zip(schema.classes, counts, strict=True)
        ],
        "columns": _columns(guess, dataset),
        "candidates": {part: list(names) for part, names in guess.candidates.items()},
        "split": {**made.split, "rows": made.rows},
        "baseline": asdict(made.baseline),
        "student": asdict(made.student),
        "teacher": made.teacher,
        "notes": [*guess.notes, *made.notes],
        "params": prepare_text(guess, made, schema.kind),
    }


def _columns(guess: Guess, dataset: Dataset) -> list[dict[str, Any]]:
    """A table's columns as the file has them; else the channels."""
    features = {feature.name: feature for feature in dataset.schema.features}
    if not guess.columns:
        return [
            {"name": f.name, "kind": f.kind, "unit": f.unit, "part": "channel"}
            for f in dataset.schema.features
        ]
    found = []
    for column in guess.columns:
        told = asdict(column)
        feature = features.get(column.name)
        if feature is not None:
            at = dataset.schema.features.index(feature)
            values = dataset.inputs[:, at]
            values = values[~values.isnan()]
            told |= {"kind": feature.kind, "unit": feature.unit}
            if feature.kind in ("number", "integer") and len(values):
                told |= {"low": float(values.min()), "high": float(values.max())}
        found.append(told)
    return found
