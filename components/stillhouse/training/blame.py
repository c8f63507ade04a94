"""Which rows made a loss that is not a number: the message that saves an afternoon."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError, TrainingFailed, UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch
from stillhouse.training.objective import Objective

NAMED = 10


@contextlib.contextmanager
def naming_lone_rows() -> Iterator[None]:
    """Say in our words that batch norm was given a single value a channel: whether one row is too
    few depends on how large the feature maps are where it stands.

    Raises:
        SettingsError: It was.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise SettingsError(
            "a batch of one row leaves batch norm nothing to compare it with.",
            where="batch",
            fix="Raise batch, give more rows, or choose a net without batch norm.",
        ) from None


def not_finite(
    what: str, model: Classifier, objective: Objective, batch: Batch, train: Dataset
) -> TrainingFailed:
    """Return the error for a loss or gradient that is NaN or infinite, naming the rows that make it
    so when they stand alone.

    Args:
        what: `loss` or `gradient`.
        model: With the weights before the step.
        objective: The loss.
        batch: The rows of the step.
        train: Where they come from; `train.rows` are their numbers in the source.
    """
    where = f"training, step {batch.step}"
    model.eval()  # batch norm cannot take one row in training mode
    guilty = [at for at in range(len(batch.rows)) if _broken(model, objective, batch, at)]
    every = len(guilty) == len(batch.rows) and len(guilty) > 1
    if every and batch.step == 0:
        return TrainingFailed(
            f"the {what} is not finite for any row of the batch, before a step was taken.",
            where=where,
            fix="Look at the rows, the first weights and the settings of the loss.",
        )
    if every:
        return TrainingFailed(
            f"the {what} is not finite for any row of the batch: the weights have diverged.",
            where=where,
            fix="Lower the learning rate.",
        )
    if not guilty:
        return TrainingFailed(
            f"the {what} is not finite, though it is for each row alone.",
            where=where,
            fix="Lower the learning rate, or look at the batch-level loss.",
        )
    rows = train.rows[batch.rows[guilty].cpu()].tolist()
    some = ", ".join(str(row) for row in rows[:NAMED]) + (
        f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    )
    return TrainingFailed(
        f"the {what} is not finite at row{'s' if len(rows) > 1 else ''} {some}.",
        where=where,
        fix="Look at their inputs and at the teacher's answers to them.",
    )


def require_slope(loss: Tensor, batch: Batch) -> None:
    """Refuse a loss that does not depend on anything that is trained.

    Raises:
        UsageError: It does not.
    """
    if loss.requires_grad:
        return
    raise UsageError(
        "the loss has no gradient: nothing that is trained takes part in it.",
        where=f"training, step {batch.step}",
        fix="Look for a detach() or no_grad() in the model's forward, and for frozen weights.",
    )


def _broken(model: Classifier, objective: Objective, batch: Batch, at: int) -> bool:
    one = slice(at, at + 1)
    alone = replace(
        batch,
        inputs=batch.inputs[one],
        targets=batch.targets[one],
        labelled=batch.labelled[one],
        rows=batch.rows[one],
    )
    loss = objective(model, alone)
    if not torch.isfinite(loss):
        return True
    if not loss.requires_grad:
        return False
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return not all(
        bool(torch.isfinite(gradient).all()) for gradient in gradients if gradient is not None
    )
