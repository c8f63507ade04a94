"""One attack after the other: what withstands one goes on to the next."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.threat import Threat


def in_turn(
    attacks: Sequence[Attack],
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
) -> Tensor:
    """Return for each row the point with the smallest margin that any of the attacks found; only
    rows that withstood all before are given to the next.

    What an attack says of itself counts for nothing: its rows are brought inside the threat and the
        model is asked about them.

    Args:
        attacks: Cheapest first.
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Everything random, one attack after the other.
    """
    found = Found.start(model, inputs, targets)
    for attack in attacks:
        rows = found.survivors()
        if not len(rows):
            break
        clean = inputs[rows]
        moved = attack.perturb(model, clean, targets[rows], threat=threat, generator=generator)
        moved = threat.snap(moved, clean)
        found.note(moved, margins(model, moved, targets[rows]), rows)
    return found.inputs
