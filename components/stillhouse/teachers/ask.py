"""Ask a teacher about rows, and let through only answers that a student can learn from."""

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.classes import require_count
from stillhouse.teachers.teacher import Oracle

BATCH = 1024  # rows that a teacher is given at once
NAMED = 10  # rows in a message; more only say how many


def ask(
    oracle: Oracle,
    dataset: Dataset,
    *,
    where: str = "teacher",
    batch: int = BATCH,
    at_once: int = BATCH,
) -> Tensor:
    """Return a teacher's logits [N, C], float32, in the order of the rows.

    Args:
        oracle: The teacher.
        dataset: N rows.
        where: Who is asked about what, for messages.
        batch: Rows at once; the teacher sees the same batches whoever asks, so that its answers are
            the same bits.
        at_once: Rows of a whole batch that it sees at once, as `passes.rows_at_once` found; what
            is left at the end is one batch whatever this is.

    Raises:
        SourceError: It has no answer for some rows, answers another number of classes or rows, or
            something that is not a finite number; rows are named.
    """
    require_answers(oracle, dataset, where=where)
    parts = []
    for start in range(0, len(dataset), batch):
        part = slice(start, start + batch)
        found = _told(oracle, dataset.inputs[part], dataset.rows[part], batch, at_once)
        _require(found, dataset.rows[part], dataset.schema, where)
        parts.append(found)
    return torch.cat(parts) if parts else torch.empty(0, len(dataset.schema.outputs))


def _told(oracle: Oracle, inputs: Tensor, rows: Tensor, batch: int, at_once: int) -> Tensor:
    size = at_once if len(inputs) == batch else len(inputs)
    parts = [
        oracle.logits(inputs[at : at + size], rows[at : at + size]).detach().float().cpu()
        for at in range(0, len(inputs), size)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def require_answers(oracle: Oracle, dataset: Dataset, *, where: str) -> None:
    """Refuse a teacher that cannot answer some of the rows.

    Raises:
        SourceError: The rows are named.
    """
    missing = dataset.rows[~oracle.answers(dataset.rows)]
    if len(missing):
        raise SourceError(
            f"there is no answer for {naming(missing)}.",
            where=where,
            fix="Bring one for every row, numbered from 0 as in the source.",
        )


def _require(found: Tensor, rows: Tensor, schema: Schema, where: str) -> None:
    if found.ndim != 2 or len(found) != len(rows):
        raise SourceError(
            f"the teacher answers {list(found.shape)} to {len(rows)} rows, not one row each.",
            where=where,
            fix="A row of numbers each, [N, C], is wanted.",
        )
    require_count(found.shape[1], schema, where=where)
    bad = ~torch.isfinite(found).all(dim=1)
    if bad.any():
        raise SourceError(
            f"the teacher's answer is not a finite number for {naming(rows[bad])}.",
            where=where,
            fix="Look at their inputs.",
        )


def naming(rows: Tensor) -> str:
    """Return rows in words: "row 5", "3 rows: 1, 2, 9", "40 rows: 1, 2, … and 30 more"."""
    numbers = [str(number) for number in rows[:NAMED].tolist()]
    if len(rows) == 1:
        return f"row {numbers[0]}"
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{len(rows)} rows: {', '.join(numbers)}{more}"
