"""What a model says of a batch, and what a batch is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """A model's answer.

    Attributes:
        logits: [B, C].
        features: By tap (a module path): whatever shape that module returns, rows first.
    """

    logits: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """B rows on their way through one optimiser step.

    Attributes:
        inputs: [B, *shape], data space.
        targets: [B], int64, −1 where unlabelled; or as `Dataset` has them.
        labelled: [B], bool.
        rows: [B], int64: positions in the data set that `fit` was given (look up stored teacher
            answers by them).
        view: Which augmented view of the rows this is, from 0.
        step: The optimiser step, from 0.
    """

    inputs: Tensor
    targets: Tensor
    labelled: Tensor
    rows: Tensor
    view: int = 0
    step: int = 0

    def seen(self, inputs: Tensor) -> "Batch":
        """Return the same rows with other inputs, such as augmented ones."""
        return replace(self, inputs=inputs)
