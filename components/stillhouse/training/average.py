"""A moving average of the weights: it answers more steadily than the last step's weights do."""

import copy

import torch
from torch import nn

from stillhouse.models.classifier import Classifier


class Average:
    """The model that is judged and shipped: an exponential moving average of the one that learns,
    or that one itself at decay 0.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the random first weights are
    forgotten.
    """

    def __init__(self, model: Classifier, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model) if decay else model

    def update(self, learner: nn.Module, step: int) -> None:
        """Move towards the learner after its optimiser step (counted from 0)."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for mine, its in zip(self.model.parameters(), learner.parameters(), strict=True):
                mine.lerp_(its, 1 - decay)
            for held, new in zip(self.model.buffers(), learner.buffers(), strict=True):
                held.copy_(new)
