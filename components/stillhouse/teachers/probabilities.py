"""What a teacher's numbers are: logits, probabilities, or a quantity's own values."""

from typing import Literal

import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError

SMALLEST = (
    1e-12  # a probability of 0 would be −∞ as a logit; this one is far below what float32 adds to 1
)
ROUNDING = 1e-6
SUM_TOLERANCE = 1e-3  # four printed digits a class are enough

Asked = Literal["logits", "probabilities", "auto"]
Form = Literal["logits", "probabilities", "values"]


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return finite logits [N, C], float32, whose softmax the probabilities are.

    Args:
        probabilities: [N, C], each row about 1 in sum.
    """
    return probabilities.double().clamp(min=SMALLEST).log().float()


def are_probabilities(answers: Tensor) -> bool:
    """Whether rows [B, C] lie in [0, 1] and sum to 1; that logits do so in every row by chance is
    next to impossible.
    """
    inside = ((answers >= 0) & (answers <= 1 + ROUNDING)).all()
    sums = answers.to(torch.float64).sum(dim=1)
    return bool(inside and ((sums - 1).abs() <= SUM_TOLERANCE).all())


def form_of(asked: Asked, answers: Tensor, schema: Schema, *, where: str) -> Form:
    """Return what a teacher's answers are.

    Args:
        asked: The setting; `auto` looks at the answers.
        answers: To some rows, [B, C].
        schema: The data's.
        where: The setting, for messages.

    Raises:
        SettingsError: Probabilities of a quantity are asked for.
    """
    if schema.quantity is not None:
        if asked == "probabilities":
            raise SettingsError(
                f"'{schema.quantity.name}' is a quantity, which has no probabilities.",
                where=where,
                fix="Leave it out: the teacher's numbers are taken as they are.",
            )
        return "values"
    if asked != "auto":
        return asked
    return "probabilities" if are_probabilities(answers) else "logits"


def outputs_of(answers: Tensor, form: str) -> Tensor:
    """Return logits, or a quantity's values, [N, C] from answers of a form."""
    return log_probabilities(answers) if form == "probabilities" else answers
