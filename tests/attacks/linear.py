"""Linear two-class models, whose worst case inside a ball is known exactly."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.space import Space

OPEN = Space.box(-torch.inf, torch.inf)


def linear(weights: Tensor, bias: float = 0.0) -> nn.Module:
    """Logits (0, w·x + b): class 1 where the score is positive."""
    layer = nn.Linear(len(weights), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros_like(weights), weights]))
        layer.bias.copy_(torch.tensor([0.0, bias]))
    return layer


def rows_at(distances: Tensor, weights: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Rows whose signed distance to the boundary, in the norm, is as asked; their targets are
    right.
    """
    dual = _dual(weights, norm)
    generator = torch.Generator().manual_seed(3)
    away = torch.randn(len(distances), len(weights), generator=generator)
    away = away - (away @ weights / (weights @ weights))[:, None] * weights
    inputs = away + (distances * dual / (weights @ weights))[:, None] * weights
    return inputs, (distances > 0).long()


def _dual(weights: Tensor, norm: str) -> Tensor:
    if norm == "linf":
        return weights.abs().sum(-1)
    return weights.abs().amax(-1) if norm == "l1" else weights.norm(dim=-1)


def classes(weights: Tensor, scale: float = 1.0) -> nn.Module:
    """Logits scale · W x of as many classes as W has rows."""
    layer = nn.Linear(weights.shape[1], len(weights), bias=False)
    with torch.no_grad():
        layer.weight.copy_(scale * weights)
    return layer


def withstands(weights: Tensor, inputs: Tensor, epsilon: float, norm: str) -> Tensor:
    """Whether each row keeps its class under W x anywhere in the open ball: its distance to every
    other class is larger than epsilon.
    """
    logits = inputs @ weights.T
    targets = logits.argmax(dim=1)
    apart = weights[targets][:, None] - weights[None]
    dual = _dual(apart, norm)
    gap = logits.gather(1, targets[:, None]) - logits
    return torch.where(dual > 0, gap / dual.clamp_min(1e-9), torch.inf).amin(dim=1) > epsilon


def spread(count: int = 120, classes: int = 5, columns: int = 6) -> tuple[Tensor, Tensor]:
    """Weights [classes, columns] and rows [count, columns], none of them within 2 % of the ball of
    0.3 around a boundary.
    """
    generator = torch.Generator().manual_seed(5)
    weights, rows = (
        torch.randn(classes, columns, generator=generator),
        torch.randn(count, columns, generator=generator),
    )
    sure = [
        withstands(weights, rows, 0.294, norm) == withstands(weights, rows, 0.306, norm)
        for norm in ("linf", "l2")
    ]
    return weights, rows[sure[0] & sure[1]]
