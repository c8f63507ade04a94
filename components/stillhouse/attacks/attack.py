"""What every attack does: look for inputs inside the threat that the model gets wrong."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.result import UNLIMITED, Budget, Result
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.threat import Threat

FOLLOWED: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
"""The norms whose balls can be followed by gradients."""


class Attack(ABC):
    """Perturbs rows.

    A plugin of one `perturb`; steps, restarts and the like are its constructor's parameters.
    Called, it attacks a model and believes only the model's own answers.

    Attributes:
        needs: What the model must give: gradients, or logits only.
        accepts: The kinds of rows it takes.
        norms: The threats it takes.
        on_surrogate: Whether it is led by another model (the teacher): unless it has brought its
            own, `perturb` is given that one in the place of the model under attack, on which the
            rows are then tried.
        at_once: Whether it must see all rows in one batch, as one that looks for what they share.
        joins_few: Whether a few rows that would be left join its last batch: a search takes nearly
            as long over few rows as over many.

    Example:
        >>> import torch
        >>> from stillhouse.attacks.fgsm import FGSM
        >>> model = torch.nn.Linear(4, 2)
        >>> rows = torch.rand(8, 4)
        >>> result = FGSM()(model, rows, model(rows).argmax(1), Threat("linf", 0.3))
        >>> result.success.shape, bool((result.norm <= 0.3).all())
        (torch.Size([8]), True)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})
    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})
    norms: ClassVar[frozenset[Norm]] = FOLLOWED
    on_surrogate: ClassVar[bool] = False
    at_once: ClassVar[bool] = False
    joins_few: ClassVar[bool] = False

    @property
    def brought(self) -> tuple[nn.Module, ...]:
        """The other models that it has been given itself; empty: it needs none, or they come with
        the call.
        """
        return ()

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

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        generator: torch.Generator | None = None,
        budget: Budget | None = None,
    ) -> Result:
        """Attack a model and return what came of it, row by row.

        Args:
            model: Data space [B, *shape] to logits [B, C]. Its mode, parameters, gradients and the
                global random state are as before when this returns.
            inputs: Clean rows [N, *shape]; N may be 0.
            targets: [N], whole numbers, all labelled.
            threat: What is allowed.
            generator: Everything random; one of seed 0 where none is given.
            budget: When to stop and return the best so far; no limit where none is given.

        Raises:
            DataError: Rows outside the threat's bounds, targets that are no classes of the model,
                answers that are not numbers; the message names the row.
            UsageError: The attack does not take this threat or needs gradients that the model does
                not give, or epsilon is in another unit than the rows.
        """
        # the machinery knows this class; it is asked for only when an attack runs
        from stillhouse.attacks.run import run_attack
        from stillhouse.attacks.sense import require_kinds, require_sense

        require_kinds(model, inputs, targets)
        require_sense(threat, inputs.cpu(), targets)
        return run_attack(
            self,
            model,
            inputs,
            targets.long(),
            threat=threat,
            generator=generator or torch.Generator().manual_seed(0),
            budget=budget or UNLIMITED,
        )
