"""Run an attack and believe only the model: what the attack returns is checked, and judged by a
forward pass of its own.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.threat import Threat
from stillhouse.errors import StillhouseError, UsageError


@dataclass(frozen=True)
class Attacked:
    """What an attack came to.

    Attributes:
        inputs: [N, *shape], inside the threat; clean where a row was not attacked.
        still_correct: [N], bool: whether the model is right about them. False where it was wrong
            already.
    """

    inputs: Tensor
    still_correct: Tensor


class AttackFailed(StillhouseError):
    """An attack returned what cannot be judged."""


def run_attack(
    attack: Attack,
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    threat: Threat,
    generator: torch.Generator,
    batch: int = 256,
    surrogate: nn.Module | None = None,
) -> Attacked:
    """Attack the rows that a model gets right, and say which of them it still gets right.

    Rows that leave the threat are brought back before they are judged. Model, gradients and the
    global generator are left as they were.

    Args:
        attack: What to run.
        model: Data space [B, *shape] to logits [B, C].
        inputs: Clean rows [N, *shape]; N may be 0.
        targets: [N], int64, all labelled.
        threat: What is allowed.
        generator: Everything random.
        batch: Rows at once.
        surrogate: The model that an `on_surrogate` attack is given in the place of `model`.

    Raises:
        UsageError: The attack needs a surrogate and there is none.
        AttackFailed: It returned other shapes, or values that are not numbers.
    """
    name = type(attack).__name__
    if attack.on_surrogate and surrogate is None:
        raise UsageError(
            f"the attack '{name}' needs a second model that gives gradients.",
            fix="Use a teacher that is a torch model, or leave the attack out.",
        )
    found = inputs.detach().clone()  # also lifts inference tensors, which autograd refuses
    with frozen(model), frozen(surrogate or model), torch.random.fork_rng(devices=[]):
        right = torch.nonzero(_correct(model, found, targets, batch)).flatten()
        for rows in (part for part in torch.split(right, batch) if len(part)):
            clean = found[rows]
            moved = attack.perturb(
                (surrogate if attack.on_surrogate else None) or model,
                clean.clone(),
                targets[rows],
                threat=threat,
                generator=generator,
            )
            found[rows] = _inside(moved, clean, threat, name)
        still = torch.zeros(len(found), dtype=torch.bool)
        still[right] = _correct(model, found[right], targets[right], batch)
    return Attacked(found, still)


def _correct(model: nn.Module, inputs: Tensor, targets: Tensor, batch: int) -> Tensor:
    with torch.no_grad():
        parts = [model(part).argmax(dim=-1) for part in torch.split(inputs, batch) if len(part)]
    return torch.cat(parts) == targets if parts else torch.zeros(0, dtype=torch.bool)


def _inside(moved: Tensor, clean: Tensor, threat: Threat, name: str) -> Tensor:
    if not isinstance(moved, Tensor) or moved.shape != clean.shape:
        raise AttackFailed(
            f"the attack '{name}' returned {_shape(moved)} for rows of {_shape(clean)}.",
            fix="Return one row for each that was given.",
        )
    moved = moved.detach().to(clean.dtype)
    odd = ~moved.isfinite() & ~clean.isnan()
    if odd.any():
        row = int(torch.nonzero(odd.flatten(1).any(1))[0])
        raise AttackFailed(
            f"the attack '{name}' returned values that are not numbers, first in row {row} "
            "of its batch.",
            fix="Look for a division by zero in it.",
        )
    allowed = threat.allows(moved, clean)
    return torch.where(
        allowed.view(-1, *[1] * (clean.dim() - 1)), moved, threat.project(moved, clean)
    )


def _shape(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, its parameters without gradients; on leaving, every module
    and parameter is as it was.
    """
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, want in wanted:
            parameter.requires_grad_(want)
