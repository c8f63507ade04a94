"""What `fit` makes small: a loss a step. It knows nothing of where the loss comes from."""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch


class Objective(nn.Module):
    """A loss with, if it likes, parameters of its own that are trained with the model."""

    def forward(self, model: Classifier, batch: Batch) -> Tensor:  # noqa: ARG002
        """Return the scalar loss of a batch.

        Args:
            model: In training mode; it takes rows in data space.
            batch: The rows; `batch.rows` are positions in the data set that `fit` was given.
        """
        raise TypeError(f"{type(self).__name__} is an Objective without a forward.")

    def after_step(self, model: Classifier) -> None:
        """Do what is to be done after each optimiser step."""

    def __call__(self, model: Classifier, batch: Batch) -> Tensor:
        return cast(Tensor, super().__call__(model, batch))


def labelled_cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross entropy over the labelled rows of a batch, nats; 0, with a gradient of
    0, where none is labelled.

    Args:
        logits: [B, C].
        batch: Targets −1 are left out.
    """
    total = F.cross_entropy(logits, batch.targets, ignore_index=-1, reduction="sum")
    return total / batch.labelled.sum().clamp_min(1)


class CrossEntropy(Objective):
    """Learns from labels alone: what a teacher that is trained here and the arm `none` do."""

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        return labelled_cross_entropy(model(batch.inputs), batch)
