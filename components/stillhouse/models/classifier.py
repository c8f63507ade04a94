"""The model that everything else sees: data space in, logits out, whatever net is inside."""

from typing import cast

from torch import Tensor, nn

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
        return cast(Tensor, self.net(self.normalize(inputs)))

    def outputs(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Outputs:
        """Return logits and the features at `taps` (module paths such as `net.hidden1`).

        Raises:
            UsageError: There is no such tap; the message lists those that are.
        """
        return tapped(self, inputs, taps) if taps else Outputs(self(inputs))
