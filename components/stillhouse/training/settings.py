"""What a training can be told; any section of params.yaml that trains something hands it on."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from stillhouse.config import Count, Positive, Seed, Share, Spec
from stillhouse.training.optimizers import optimizer_settings


@dataclass(frozen=True)
class FitSettings:
    """Settings of one training.

    Attributes:
        epochs: Passes over the rows; the optimiser takes epochs × ⌈N / batch⌉ steps.
        batch: Rows a step at most; an epoch's rows are spread evenly over its steps.
        optimizer: `{name: adamw, lr: 0.003, …}`; adamw, adam or sgd.
        warmup: Share of the steps in which the learning rate rises.
        clip: The largest norm of the gradient over all weights; a longer one is shortened to it.
        ema: Decay of the moving average of the weights; 0 is none.
        patience: Epochs without a better validation accuracy (ties: lower nll) after which training
            stops and the best weights are kept. None takes every
            step and keeps the last weights: after a cosine they are the settled ones, and the best
                of many looks at a small val split is mostly luck.
        seed: Of the order of the rows and of whatever the net draws (dropout).
        steps: Optimiser steps in place of those that `epochs` gives, so that arms with fewer rows
            get an equal budget; the rows are gone through again.
    """

    epochs: Count
    batch: Count = 128
    optimizer: Spec = field(
        default_factory=lambda: {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4}
    )
    warmup: Share = 0.05
    clip: Positive = 1.0
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    patience: Count | None = None
    seed: Seed = 0
    steps: Count | None = None

    def check(self, where: str) -> None:
        """Refuse an optimiser that does not fit.

        Raises:
            SettingsError: Its name is unknown or a setting out of bounds.
        """
        optimizer_settings(self.optimizer, f"{where}.optimizer")
