"""How one model is laid out while it trains: the same steps up to rounding, faster on some nets."""

from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.models.classifier import Classifier
from stillhouse.training.objective import Objective

Pace = Literal["plain", "channels_last", "bf16"]
"""`plain`; images with channels last in memory; that, and products in bfloat16 (weights, losses and
the optimiser stay in float32)."""


class Halved(Classifier):
    """A model whose net computes in bfloat16; its weights are the model's own."""

    def __init__(self, model: Classifier) -> None:
        nn.Module.__init__(self)
        self._model = (model,)  # in a tuple it is no submodule

    def forward(self, inputs: Tensor) -> Tensor:
        model = self._model[0]
        rows = model.normalize(inputs)
        with torch.autocast(rows.device.type, torch.bfloat16):
            told = model.net(rows)
        return model.scaled(told.float())

    def standard(self, told: Tensor) -> Tensor:
        return self._model[0].standard(told)


def paces(model: Classifier, objective: Objective) -> tuple[Pace, ...]:
    """Return the ways that may pay for a model: more than one for nets with convolutions over
    images.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return ("plain",)
    return (
        ("plain", "channels_last", "bf16") if objective.answer_alone else ("plain", "channels_last")
    )


def lay(model: Classifier, pace: Pace) -> Classifier:
    """Lay a model's weights out as a pace wants them, and return what a loss has to ask."""
    if pace != "plain":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Halved(model) if pace == "bf16" else model


def laid(inputs: Tensor, pace: Pace) -> Tensor:
    """Return rows as a pace wants them."""
    if pace == "plain" or inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)
