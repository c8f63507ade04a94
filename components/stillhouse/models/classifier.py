"""The model that everything else sees: data space in, logits (or a quantity in its own unit) out,
whatever net is inside.
"""

from typing import cast

import torch
from torch import Tensor, nn

from stillhouse.data.schema import Schema
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Outputs
from stillhouse.models.taps import tapped


class Classifier(nn.Module):
    """A net behind its own normalisation, so that an epsilon means what the user thinks and an
    export needs no second file.

    Args:
        normalize: From data space to the net's rows.
        net: From normalised rows to logits [B, C].
    """

    def __init__(self, normalize: Normalize, net: nn.Module) -> None:
        super().__init__()
        self.normalize = normalize
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of rows [B, *shape] in data space."""
        return self.scaled(cast(Tensor, self.net(self.normalize(inputs))))

    def outputs(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Outputs:
        """Return logits and the features at `taps` (module paths such as `net.hidden1`).

        Raises:
            UsageError: There is no such tap; the message lists those that are.
        """
        return tapped(self, inputs, taps) if taps else Outputs(self(inputs))

    def learn_scale(self, targets: Tensor) -> None:
        """Take from known targets [N] what the model's answer has to be scaled by; classes have no
        scale.
        """

    def scaled(self, told: Tensor) -> Tensor:
        """Return what the net answers as the model does: of a quantity in its own unit."""
        return told

    def standard(self, told: Tensor) -> Tensor:
        """Return answers or targets as losses see them: of a quantity in standard deviations."""
        return told


class Regressor(Classifier):
    """A net whose answer is scaled to the quantity's own unit, inside the model: who asks it needs
    no second file here either.

    Attributes:
        target_mean: Of the targets that it learned from, a scalar.
        target_spread: Their standard deviation; 1 where they are all alike.
    """

    target_mean: Tensor
    target_spread: Tensor

    def __init__(self, normalize: Normalize, net: nn.Module) -> None:
        super().__init__(normalize, net)
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_spread", torch.ones(()))

    def scaled(self, told: Tensor) -> Tensor:
        return told * self.target_spread + self.target_mean

    def learn_scale(self, targets: Tensor) -> None:
        """Take mean and standard deviation of known targets [N], at least one."""
        wide = targets.double()
        spread = wide.std(correction=0)
        self.target_mean.copy_(wide.mean())
        self.target_spread.copy_(torch.where(spread > 0, spread, 1.0))

    def standard(self, told: Tensor) -> Tensor:
        return (told - self.target_mean) / self.target_spread


def model_of(schema: Schema, normalize: Normalize, net: nn.Module) -> Classifier:
    """Return a net as the model that a schema's target asks for."""
    return (Classifier if schema.quantity is None else Regressor)(normalize, net)
