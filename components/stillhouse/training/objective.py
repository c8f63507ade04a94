"""What `fit` makes small: a loss a step. It knows nothing of where the loss comes from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from stillhouse.evaluation.tasks import CLASSIFICATION, Task
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch

Losses = Callable[[Tensor, Batch], Tensor]
"""The losses [k] of k models that are trained together, from their answers [k, B, C] as their nets
give them, and their batches [k, B, …]."""


class Objective(nn.Module):
    """A loss with, if it likes, parameters of its own that are trained with the model.

    Attributes:
        answer_alone: Whether `forward` asks the model once, about the batch's own inputs, looks at
            nothing but the answer and draws nothing: then many models can be trained together.
            What it remembers has to be in its state dict, and no part of the loss.
    """

    answer_alone: bool = False

    def forward(self, model: Classifier, batch: Batch) -> Tensor:  # noqa: ARG002
        """Return the scalar loss of a batch.

        Args:
            model: In training mode; it takes rows in data space.
            batch: The rows; `batch.rows` are positions in the data set that `fit` was given.
        """
        raise TypeError(f"{type(self).__name__} is an Objective without a forward.")

    def after_step(self, model: Classifier) -> None:
        """Do what is to be done after each optimiser step."""

    @classmethod
    def at_once(cls, objectives: "Sequence[Objective]") -> Losses | None:  # noqa: ARG003
        """Return the losses of several such objectives in a few operations for all of them; None
        where each has to be asked by itself.
        """
        return None

    def __call__(self, model: Classifier, batch: Batch) -> Tensor:
        return cast(Tensor, super().__call__(model, batch))


def labelled_loss(
    task: Task, outputs: Tensor, batch: Batch, weights: Tensor | None = None
) -> Tensor:
    """Return the mean of a task's base loss over the labelled rows of a batch; 0, with a gradient
    of 0, where none is labelled.

    Args:
        task: Cross entropy (nats) of classes; squared or quantile loss of a quantity.
        outputs: [B, C]; of a quantity in standard deviations, as are the batch's targets.
        batch: Rows without a target are left out.
        weights: By class [C]; the mean is then a weighted one. None: all 1.
    """
    return task.total(outputs, batch.targets, weights) / mass(batch, weights)


def labelled_losses(
    task: Task, outputs: Tensor, batch: Batch, weights: Tensor | None = None
) -> Tensor:
    """Return `labelled_loss` of k models, [k].

    Args:
        task: One that decides for a class.
        outputs: [k, B, C].
        batch: Theirs, [k, B, …].
        weights: By class [C]; None: all 1.
    """
    each = task.each(outputs.flatten(0, 1), batch.targets.flatten(), weights)
    total = each.view_as(batch.targets).sum(dim=1)
    if weights is None:
        return total / batch.labelled.sum(dim=1).clamp_min(1)
    own = (weights[batch.targets.clamp_min(0)] * batch.labelled).sum(dim=1)
    return total / own.clamp_min(torch.finfo(own.dtype).tiny)


def alike(weights: Sequence[Tensor | None]) -> bool:
    """Return whether several models weigh classes alike."""
    first = weights[0]
    if first is None:
        return all(other is None for other in weights)
    return all(other is not None and torch.equal(first, other) for other in weights)


def mass(batch: Batch, weights: Tensor | None) -> Tensor:
    """Return what the labelled rows of a batch weigh together, never 0: how many they are, or the
    sum of their classes' weights.
    """
    if weights is None:
        return batch.labelled.sum().clamp_min(1)
    each = weights[batch.targets.clamp_min(0)] * batch.labelled
    return each.sum().clamp_min(torch.finfo(each.dtype).tiny)


def standard(model: Classifier, batch: Batch) -> Batch:
    """Return a batch whose targets are in the unit of losses."""
    return replace(batch, targets=model.standard(batch.targets))


class Labels(Objective):
    """Learns from labels alone: what a teacher that is trained here and the arm `none` do.

    Args:
        task: What is predicted.
        weights: By class [C]; None: all 1.
    """

    answer_alone = True
    weights: Tensor | None

    def __init__(self, task: Task = CLASSIFICATION, weights: Tensor | None = None) -> None:
        super().__init__()
        self.task = task
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        outputs = model.standard(model(batch.inputs))
        return labelled_loss(self.task, outputs, standard(model, batch), self.weights)

    @classmethod
    def at_once(cls, objectives: Sequence[Objective]) -> Losses | None:
        mine = [each for each in objectives if type(each) is Labels]
        if len(mine) < len(objectives) or not alike([each.weights for each in mine]):
            return None
        task, weights = mine[0].task, mine[0].weights
        if not task.decides:
            return None
        return lambda outputs, batch: labelled_losses(task, outputs, batch, weights)
