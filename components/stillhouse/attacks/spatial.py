"""Spatial: the image turned and shifted, the worst of a grid."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.geometry import move, moves
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.threat import Threat


def spatial(model: nn.Module, inputs: Tensor, targets: Tensor, threat: Threat) -> Tensor:
    """Return for each image the move with the smallest margin, of all that epsilon allows; the
    first that fools ends a row's search.

    Epsilon 1 is 30 degrees either way and a tenth of the side in each direction. Of a series or a
    table, which have no such moves, the rows themselves are returned.

    Args:
        model: Data space [B, channels, height, width] to logits [B, C], in eval mode.
        inputs: Clean images.
        targets: [B], int64.
        threat: geometry.

    Source:
        Engstrom, Tran, Tsipras, Schmidt and Madry 2019, arXiv:1712.02779, section 3 (grid search).
    """
    found = Found.start(model, inputs, targets)
    if inputs.dim() != 4:
        return found.inputs
    for how in moves(threat.epsilon):
        rows = found.survivors()
        if not len(rows):
            break
        moved = move(inputs[rows], how)
        found.note(moved, margins(model, moved, targets[rows]), rows)
    return found.inputs


class Spatial(Attack):
    """Rotation and translation: no small change of any pixel, and what a camera does by itself."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    accepts: ClassVar[frozenset[str]] = frozenset({"image"})
    norms: ClassVar[frozenset[Norm]] = frozenset({"geometry"})

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        return spatial(model, inputs, targets, threat)
