"""Why stored answers are no longer what this teacher says of these rows: the accident, by name."""

from pathlib import Path

import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.teachers.ask import naming

AGAIN = "Run the step `knowledge` again."
# fp16 keeps 11 binary digits; another batch size moves a float32 answer far less
RELATIVE, ABSOLUTE = 2e-3, 2e-3


def stale(folder: Path, why: str) -> UsageError:
    """Return the refusal of stored answers, for its reason."""
    return UsageError(f"the stored answers are stale: {why}.", where=str(folder), fix=AGAIN)


def close(now: Tensor, held: Tensor) -> bool:
    """Whether answers are the same but for what fp16 and another batch size change."""
    return now.shape == held.shape and torch.allclose(now, held, rtol=RELATIVE, atol=ABSOLUTE)


def how_rows_differ(held: Tensor, now: Tensor) -> str:
    """Return in words what row numbers the answers are about [N], and the data have [M]."""
    if len(held) == len(now) and bool((held.sort().values == now.sort().values).all()):
        moved = now[held != now]
        return f"the rows are in another order, from {naming(moved[:1])} on"
    unknown = now[~torch.isin(now, held)]
    return (
        f"there is none for {naming(unknown)}"
        if len(unknown)
        else f"they are for {len(held)} rows, the data have {len(now)} of them"
    )


def how_answers_differ(now: Tensor, held: Tensor, rows: Tensor) -> str:
    """Tell the usual accidents apart by what they do to the sentinels' answers.

    Args:
        now: What the teacher says now [S, C].
        held: What was stored [S, C].
        rows: The sentinels' numbers [S].
    """
    if now.shape == held.shape and close(now.sort(dim=1).values, held.sort(dim=1).values):
        return "the teacher now gives its classes in another order"
    if now.shape == held.shape and all(
        any(close(answer, other) for other in held) for answer in now
    ):
        return "the teacher now gives one row's answer to another: rows are permuted"
    wrong = (
        rows[~torch.isclose(now, held, rtol=RELATIVE, atol=ABSOLUTE).all(dim=1)]
        if now.shape == held.shape
        else rows
    )
    return (
        f"the teacher now answers {naming(wrong)} otherwise: its weights or its preprocessing "
        "changed"
    )
