"""What a teacher's numbers are: logits, probabilities of classes, chances of labels of which each
is a yes or no of its own, or a quantity's own values.
"""

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
Form = Literal["logits", "probabilities", "chances", "values"]


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return finite logits [N, C], float32, whose softmax the probabilities are.

    Args:
        probabilities: [N, C], each row about 1 in sum.
    """
    return probabilities.double().clamp(min=SMALLEST).log().float()


def log_odds(chances: Tensor) -> Tensor:
    """Return finite log-odds [N, L], float32, whose sigmoid the chances are."""
    wide = chances.double().clamp(SMALLEST, 1 - SMALLEST)
    return (wide.log() - (-wide).log1p()).float()


def are_chances(answers: Tensor) -> bool:
    """Whether all lie in [0, 1]; that log-odds do so in some dozens of rows is next to
    impossible.
    """
    return bool(((answers >= 0) & (answers <= 1 + ROUNDING)).all())


def are_probabilities(answers: Tensor) -> bool:
    """Whether rows [B, C] lie in [0, 1] and sum to 1; that logits do so in every row by chance is
    next to impossible.
    """
    inside = ((answers >= 0) & (answers <= 1 + ROUNDING)).all()
    sums = answers.to(torch.float64).sum(dim=1)
    return bool(inside and ((sums - 1).abs() <= SUM_TOLERANCE).all())


def form_asked(schema: Schema) -> Form:
    """Return what a teacher answers that always answers as sure as it is."""
    if schema.labels:
        return "chances"
    return "probabilities" if schema.quantity is None else "values"


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
    if schema.labels:
        told = asked == "probabilities" or (asked == "auto" and are_chances(answers))
        return "chances" if told else "logits"
    if asked != "auto":
        return asked
    return "probabilities" if are_probabilities(answers) else "logits"


def outputs_of(answers: Tensor, form: str) -> Tensor:
    """Return logits, log-odds, or a quantity's values, [N, C] from answers of a form."""
    if form == "chances":
        return log_odds(answers)
    return log_probabilities(answers) if form == "probabilities" else answers
