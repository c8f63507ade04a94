"""What any MLflow classifier answers, in one form: classes as codes, and logits where the model
tells more than a class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.errors import DataError, UsageError

CERTAIN = 10.0  # the logit of a class that is all that a model tells
NEAR = 1e-3  # of 1: how far probabilities may sum from it
MOST = 8  # classes that a message names


class Predicts(Protocol):
    """An MLflow pyfunc model, or a function in its clothes."""

    def predict(self, data: Any) -> Any:
        """Return answers [N] or [N, C] for rows."""


@dataclass(frozen=True)
class Answers:
    """Answers to N rows.

    Attributes:
        logits: [N, C], float64.
        graded: Whether the model tells how sure it is; else its class has a fixed logit.
    """

    logits: Tensor
    graded: bool


def ask(model: Predicts, rows: Any, classes: Sequence[Any]) -> Answers:
    """Return a model's answers; scikit-learn's models are asked for probabilities, whose columns
    they name themselves.

    Raises:
        DataError: An answer is not a number, or there is not one for each row.
        UsageError: There are other classes than the labels have.
    """
    graded = getattr(_raw(model), "predict_proba", None)
    if not callable(graded):
        return read(model.predict(rows), classes, rows=len(rows))
    own = classes_of(model) or classes
    if set(own) != set(classes):
        raise UsageError(
            f"the model tells {_listed(own)} apart, not {_listed(classes)}.",
            where="evaluator_config.classes",
            fix="Name the model's classes, or leave the setting out.",
        )
    told = read(graded(rows), own, rows=len(rows))
    return Answers(told.logits[:, [own.index(one) for one in classes]], told.graded)


def classes_of(model: Predicts) -> list[Any]:
    """Return what a model calls its classes, by column; nothing where it does not say."""
    own = getattr(_raw(model), "classes_", None)  # scikit-learn's word for them
    if not isinstance(own, np.ndarray) or own.ndim != 1:
        return []
    return [_bare(one) for one in own.tolist()]


def _raw(model: Predicts) -> Any:
    try:
        return getattr(model, "get_raw_model", lambda: None)()
    except NotImplementedError:  # a pyfunc of the user's own holds no other model
        return None


def read(told: Any, classes: Sequence[Any], *, rows: int | None = None) -> Answers:
    """Return answers as logits. Errors as `ask`.

    Args:
        told: Classes [N], or logits or probabilities [N, C], or a mapping or table that holds one.
        classes: C of them, in the order of the columns.
        rows: How many were asked; None: nobody knows.
    """
    values = _plain(told)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1 and len(values) == (rows or 0) * len(classes) != rows:
        # MLflow's ONNX models answer a table with all their numbers in one column
        values = values.reshape(-1, len(classes))
    if values.ndim and rows is not None and len(values) != rows:
        raise DataError(
            f"{len(values):,} answers came to {rows:,} rows.",
            where="model",
            fix="Answer each row once, in the order given.",
        )
    if values.ndim == 1:
        return Answers(_of_classes(values, classes), graded=False)
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise UsageError(
            f"the model answers {list(values.shape)}, and the labels have {len(classes)} classes.",
            where="evaluator_config.classes",
            fix="Name the classes in the order of the model's columns: {'classes': [...]}.",
        )
    found = torch.as_tensor(np.asarray(values, dtype=np.float64))
    odd = torch.nonzero(~found.isfinite().all(dim=1)).flatten()
    if len(odd):
        raise DataError(
            f"the answer to row {int(odd[0])} is not a number, as are {len(odd)} in all.",
            where="model",
            fix="Look at these rows: a missing cell, or a model that overflows.",
        )
    sums = (found.sum(dim=1) - 1).abs()
    likely = bool((found >= 0).all()) and bool((sums <= NEAR).all())
    return Answers(found.clamp_min(1e-12).log() if likely else found, graded=True)


def _plain(told: Any) -> NDArray[Any]:
    if isinstance(told, Mapping):
        if len(told) != 1:
            raise UsageError(
                f"the model has {len(told)} outputs: {', '.join(map(str, told))}.",
                where="model",
                fix="Evaluate a model with one output, or pass its predictions.",
            )
        told = next(iter(told.values()))
    return np.asarray(told)


def _of_classes(values: NDArray[Any], classes: Sequence[Any]) -> Tensor:
    told = codes(
        values,
        classes,
        where="model",
        fix="Let it answer one of them, or how likely each is, [N, C]; quantities are not judged.",
    )
    return CERTAIN * torch.nn.functional.one_hot(told, len(classes)).double()


def codes(
    values: Any,
    classes: Sequence[Any],
    *,
    where: str = "targets",
    fix: str = "Name all classes: evaluator_config={'classes': [...]}.",
) -> Tensor:
    """Return the places [N] of values among the classes.

    Args:
        values: [N].
        classes: C of them.
        where: Whose values, for messages.
        fix: What to do where one is none of them.

    Raises:
        DataError: One is not among them.
    """
    places = {value: at for at, value in enumerate(classes)}
    bare = [_bare(value) for value in np.asarray(values).tolist()]
    found = [places.get(value) for value in bare]
    if None in found:
        at = found.index(None)
        raise DataError(
            f"{bare[at]!r} in row {at} is none of the classes {_listed(classes)}.",
            where=where,
            fix=fix,
        )
    return torch.tensor(found)


def _listed(classes: Sequence[Any]) -> str:
    shown = ", ".join(map(str, classes[:MOST]))
    return shown if len(classes) <= MOST else f"{shown}, … ({len(classes)} in all)"


def _bare(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Asked(nn.Module):
    """A model behind its `predict`, as attacks ask it: rows above each column's smallest value in,
    logits out, no gradient.

    Args:
        model: Any classifier.
        low: [D], what stands for 0 in each column.
        table: From an array [B, D] to what the model takes.
        classes: C of them.
    """

    def __init__(self, model: Predicts, low: Tensor, *, table: Any, classes: Sequence[Any]) -> None:
        super().__init__()
        self.model, self.low, self.table, self.classes = model, low, table, classes

    def forward(self, inputs: Tensor) -> Tensor:
        rows = self.table((self.low + inputs.double()).numpy())
        return ask(self.model, rows, self.classes).logits.float()
