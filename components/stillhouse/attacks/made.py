"""Threats that are no ball but a set of changes: a row is allowed where one of them makes it."""

import torch
from torch import Tensor

from stillhouse.attacks import geometry, warps
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.space import Space
from stillhouse.attacks.switches import switches_of

MADE: frozenset[Norm] = frozenset({"geometry", "category", "channels", "drift", "skew"})
COUNTED: frozenset[Norm] = frozenset({"category", "channels", "l0"})  # epsilon is how many
SERIES: frozenset[Norm] = frozenset({"channels", "drift", "skew"})  # what only series have
_ROUNDING = 1e-5  # of epsilon: a line's end is told from values that were rounded


def odd(norm: Norm, epsilon: float) -> tuple[str, str] | None:
    """Return why no such epsilon can be meant, and what to write; None where it can."""
    if norm in COUNTED and epsilon != round(epsilon):
        return f"{norm} counts, and {epsilon:g} is no whole number.", "Write how many, such as 1."
    if norm == "skew" and epsilon >= 1:
        return (
            f"a clock that is off by {epsilon:g} of the time stands still or runs backwards.",
            "Write a share below 1, such as 0.1.",
        )
    return None


def size(norm: Norm, inputs: Tensor, clean: Tensor, epsilon: float, space: Space) -> Tensor:
    """Return the size [B] of the smallest change that makes inputs of clean rows [B, *shape];
    infinite where none of the norm's does, or what holds between columns of the clean row does not.
    """
    if norm == "geometry":
        return geometry.size(inputs, clean, epsilon)
    if norm == "category":
        broken = (space.hold(inputs, clean) != inputs) & ~inputs.isnan()
        told = switches_of(space, inputs).size(inputs, clean) if inputs.dim() == 2 else None
        return _unless(told, inputs, clean, broken.flatten(1).any(1))
    series = inputs.dim() == 3
    if norm == "channels":
        told = switches_of(space, inputs).size(inputs, clean) if series else None
    elif norm == "drift":
        told = warps.drift(inputs, clean, space) if series else None
    else:
        told = warps.skew(inputs, clean, epsilon, space) if series else None
    return _unless(told, inputs, clean, torch.zeros(len(clean), dtype=torch.bool))


def allows(norm: Norm, inputs: Tensor, clean: Tensor, epsilon: float, space: Space) -> Tensor:
    """Return [B], bool: whether a change that epsilon allows makes inputs of clean rows."""
    most = epsilon * (1 + _ROUNDING) if norm == "drift" else epsilon
    return size(norm, inputs, clean, epsilon, space) <= most


def _unless(told: Tensor | None, inputs: Tensor, clean: Tensor, broken: Tensor) -> Tensor:
    """Rows of another kind have no such changes: only the clean one is of size 0."""
    if told is None:
        same = ((inputs == clean) | (inputs.isnan() & clean.isnan())).flatten(1).all(1)
        return torch.where(same, 0.0, torch.inf)
    return torch.where(broken, torch.inf, told)
