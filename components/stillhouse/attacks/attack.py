"""What every attack does: look for inputs inside the threat that the model gets wrong."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.threat import Threat


class Attack(ABC):
    """Perturbs rows.

    A plugin of one `perturb`; steps, restarts and the like are its constructor's parameters.

    Attributes:
        needs: What the model must give: gradients, or logits only.
        accepts: The kinds of rows it takes.
        on_surrogate: Whether `perturb` is given another model (the teacher) instead of the one
            under attack, on which its rows are then tried.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})
    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})
    on_surrogate: ClassVar[bool] = False

    @abstractmethod
    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        """Return adversarial inputs [B, *shape]; rows that could not be fooled may be anything
        inside the threat.

        Args:
            model: Data space [B, *shape] to logits [B, C]; in eval mode, parameters without
                gradients.
            inputs: Clean rows; missing cells are NaN, and stay so.
            targets: [B], int64, all labelled.
            threat: What is allowed.
            generator: The only source of randomness.
        """
