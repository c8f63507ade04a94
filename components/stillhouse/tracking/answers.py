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
    """Return a model's answers; scikit-learn's models are asked for probabilities.

    Raises:
        DataError: An answer is not a number.
        UsageError: There are other classes than the labels have.
    """
    raw = getattr(model, "get_raw_model", lambda: None)()
    graded = getattr(raw, "predict_proba", None)
    told = graded(rows) if callable(graded) else model.predict(rows)
    return read(told, classes)


def read(told: Any, classes: Sequence[Any]) -> Answers:
    """Return answers as logits. Errors as `ask`.

    Args:
        told: Classes [N], or logits or probabilities [N, C], or a mapping or table that holds one.
        classes: C of them, in the order of the columns.
    """
    values = _plain(told)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
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
    return CERTAIN * torch.nn.functional.one_hot(codes(values, classes), len(classes)).double()


def codes(values: Any, classes: Sequence[Any]) -> Tensor:
    """Return the places [N] of values among the classes.

    Raises:
        DataError: One is not among them.
    """
    places = {value: at for at, value in enumerate(classes)}
    found = [places.get(_bare(value)) for value in np.asarray(values).tolist()]
    if None in found:
        at = found.index(None)
        raise DataError(
            f"{values[at]!r} in row {at} is none of the classes {', '.join(map(str, classes))}.",
            where="targets",
            fix="Name all classes: evaluator_config={'classes': [...]}.",
        )
    return torch.tensor(found)


def _bare(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Asked(nn.Module):
    """A model behind its `predict`, as attacks ask it: rows in [0, 1], logits out, no gradient.

    Args:
        model: Any classifier.
        low: [D], what stands for 0 in each column.
        high: [D], what stands for 1.
        table: From an array [B, D] to what the model takes.
        classes: C of them.
    """

    def __init__(
        self, model: Predicts, low: Tensor, high: Tensor, *, table: Any, classes: Sequence[Any]
    ) -> None:
        super().__init__()
        self.model, self.low, self.high = model, low, high
        self.table, self.classes = table, classes

    def forward(self, inputs: Tensor) -> Tensor:
        raw = self.low + inputs.double() * (self.high - self.low)
        return ask(self.model, self.table(raw.numpy()), self.classes).logits.float()
