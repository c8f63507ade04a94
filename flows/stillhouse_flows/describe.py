"""What `stillhouse data describe FILE` says: what a file holds, and what would be made of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset, known, row_digests
from stillhouse.data.targets import counts
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
    guess, dataset = read(look.guess(path, root, hints), root)
    made = plan(dataset, guess)
    schema, labelled = dataset.schema, dataset.targets[known(dataset.targets)]
    return {
        "file": str(path),
        "kind": schema.kind,
        "rows": len(dataset),
        "row_shape": list(schema.shape),
        "unlabelled": len(dataset) - len(labelled),
        "duplicates": len(dataset) - len(set(row_digests(dataset.inputs))),
        "groups": None if dataset.groups is None else len(set(dataset.groups.tolist())),
        "task": schema.task,
        "classes": _classes(dataset, labelled),
        "quantity": _quantity(labelled) if schema.task == "regression" else None,
        "labels": _labels(dataset),
        "columns": _columns(guess, dataset),
        "candidates": {part: list(names) for part, names in guess.candidates.items()},
        "split": {**made.split, "rows": made.rows},
        "baseline": asdict(made.baseline),
        "student": asdict(made.student),
        "teacher": made.teacher,
        "notes": [*guess.notes, *made.notes],
        "params": prepare_text(guess, made, schema.kind),
    }


def _classes(dataset: Dataset, labelled: Tensor) -> list[dict[str, Any]]:
    if not dataset.classes:
        return []
    counts = torch.bincount(labelled, minlength=len(dataset.classes)).tolist()
    return [
        {"name": name, "rows": count, "share": count / max(len(labelled), 1)}
        for name, count in zip(dataset.classes, counts, strict=True)
    ]


def _labels(dataset: Dataset) -> list[dict[str, Any]]:
    """Return for each label the rows that have it, and their share of those that are known."""
    yes, no = counts(dataset.targets) if dataset.schema.labels else ([], [])
    return [
        {"name": name, "rows": has, "share": has / max(has + lacks, 1)}
        for name, has, lacks in zip(dataset.schema.labels, yes, no, strict=True)
    ]


def _quantity(labelled: Tensor) -> dict[str, float]:
    low, middle, high = (float(labelled.double().quantile(share)) for share in (0, 0.5, 1))
    return {"low": low, "median": middle, "high": high, "mean": float(labelled.double().mean())}


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
