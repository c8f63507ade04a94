"""Questions that nobody can mean: epsilon in another unit than the rows, rows outside their bounds,
classes that the model does not have.
"""

import math

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.made import SERIES, odd
from stillhouse.attacks.threat import Threat
from stillhouse.errors import DataError, UsageError


def require_kinds(model: object, inputs: object, targets: object) -> None:
    """Refuse what is no model, no rows or no classes at all.

    Args:
        model: Asked for its logits.
        inputs: [N, *shape].
        targets: [N].

    Raises:
        UsageError: The model is no module, or rows or targets are no tensors.
        DataError: Targets are no codes of classes, one a row.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"the model is a {type(model).__name__}, not a torch.nn.Module.",
            fix="Give the module itself, or one whose `forward` calls it.",
        )
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
        odd_one = targets if isinstance(inputs, Tensor) else inputs
        raise UsageError(
            f"rows and targets are tensors, not a {type(odd_one).__name__}.",
            fix="Write torch.as_tensor(...).",
        )
    kind = targets.dtype
    if targets.dim() != 1 or kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise DataError(
            f"targets are codes of classes [N], not {kind} {list(targets.shape)}.",
            fix="Give whole numbers, one a row: of one-hot rows, targets.argmax(1).",
        )


def require_sense(threat: Threat, inputs: Tensor, targets: Tensor) -> None:
    """Refuse a threat and rows that cannot be meant together.

    Raises:
        UsageError: Epsilon is not a number above 0, allows everything, or a share above 1.
        DataError: A row lies outside the threat's bounds or is not a number, or rows and targets
            differ in number.
    """
    if not (math.isfinite(threat.epsilon) and threat.epsilon > 0):
        raise UsageError(
            f"epsilon must be a number above 0, not {threat.epsilon:g}.",
            fix="Write how far an attacker may go, such as 8/255 = 0.0314 for images in [0, 1].",
        )
    if len(inputs) != len(targets):
        raise DataError(
            f"there are {len(inputs)} rows and {len(targets)} targets.",
            fix="Give each row one target.",
        )
    _require_bounds(threat, inputs)
    _require_unit(threat)
    _require_met(threat, inputs)


def _require_bounds(threat: Threat, inputs: Tensor) -> None:
    low, high = threat.space.low, threat.space.high
    outside = ((inputs < low) | (inputs > high) | inputs.isinf()).flatten(1).any(1)
    if outside.any():
        row = int(torch.nonzero(outside)[0])
        reach = float(inputs[row].nan_to_num(0.0).abs().max())
        pixels = reach <= 255 and float(high.max()) == 1.0 and reach > 2
        raise DataError(
            f"row {row} holds values up to {reach:g}, outside the bounds "
            f"[{float(low.min()):g}, {float(high.max()):g}] ({int(outside.sum())} rows do).",
            fix="Divide pixels of 0..255 by 255."
            if pixels
            else "Scale the rows, or give the threat's space their bounds.",
        )


def _require_unit(threat: Threat) -> None:
    epsilon, space = threat.epsilon, threat.space
    if found := odd(threat.norm, epsilon):
        raise UsageError(found[0], fix=found[1])
    if threat.norm == "patch" and epsilon > 1:
        raise UsageError(
            f"a patch of {epsilon:g} of the side is larger than the image.",
            fix="Write a share, such as 0.25.",
        )
    room = float(((space.high - space.low) / space.scale).max())
    if threat.norm == "linf" and math.isfinite(room) and epsilon > room:
        meant = f" {epsilon:g}/255 is {epsilon / 255:.4g}." if 1 < epsilon < 256 else ""
        raise UsageError(
            f"an epsilon of {epsilon:g} allows everything: the rows' whole range is {room:g}.",
            fix=f"Write it in the rows' own unit.{meant}",
        )


def _require_met(threat: Threat, inputs: Tensor) -> None:
    """A constraint that holds nowhere holds nothing: what was meant is another one."""
    space = threat.space
    for above, below, equal in space.ordered if len(inputs) else ():
        high, low = inputs[:, above], inputs[:, below]
        if not ((high >= low) if equal else (high > low)).any():
            one, other = (
                f"'{space.names[at]}'" if space.names else f"column {at}" for at in (above, below)
            )
            raise DataError(
                f"no row meets the constraint {one} {'>=' if equal else '>'} {other}.",
                fix="Turn it round, mend the rows, or leave it out.",
            )


def require_fit(attack: Attack, threat: Threat, inputs: Tensor) -> None:
    """Refuse an attack that does not take such a threat, and a threat that such rows do not have.

    Raises:
        UsageError: The norm is none of the attack's own, or of other rows.
    """
    series = inputs.dim() == 3
    if threat.norm in SERIES and not series:
        raise UsageError(
            f"{threat.norm} happens to series [rows, times, channels], not to rows "
            f"{list(inputs.shape)}.",
            fix="Choose another norm.",
        )
    if threat.norm == "category" and inputs.dim() != 2:
        raise UsageError(
            f"only tables [rows, columns] have categories, not rows {list(inputs.shape)}.",
            fix="Choose another norm.",
        )
    if threat.norm not in attack.norms:
        raise UsageError(
            f"'{type(attack).__name__}' takes {', '.join(sorted(attack.norms))}, not "
            f"{threat.norm}.",
            fix="Choose another norm or another attack.",
        )


def require_gradients(attack: Attack, model: nn.Module, inputs: Tensor) -> None:
    """Refuse an attack that needs gradients on a model that is a black box.

    Raises:
        UsageError: No gradient of the model's answers leads back to the rows.
    """
    if "gradients" not in attack.needs or not len(inputs):
        return
    with torch.enable_grad():
        logits = model(inputs[:1].detach().clone().requires_grad_(True))
    if not logits.requires_grad:
        raise UsageError(
            f"'{type(attack).__name__}' needs gradients, and this model gives none: it is a black "
            "box.",
            fix="Use an attack that only asks: square, hop_skip_jump, sparse_rs, patch, spatial, "
            "flip, fault.",
        )


def require_answers(logits: Tensor, targets: Tensor, rows: Tensor | None = None) -> None:
    """Refuse answers that cannot be judged.

    Args:
        logits: [N, C], of the clean rows.
        targets: [N].
        rows: [N], what each row is called in messages; None: its position.

    Raises:
        DataError: They are no logits, not numbers, or a target is no class of theirs.
    """
    if not isinstance(logits, Tensor):
        raise DataError(
            f"the model answers with a {type(logits).__name__}, not with a tensor of logits.",
            fix="Wrap it in a module that returns the logits alone.",
        )
    if logits.dim() != 2 or logits.shape[-1] < 2:
        raise DataError(
            f"the model answers with {list(logits.shape)}, not with logits [rows, classes].",
            fix="Give a classifier of at least two classes.",
        )
    if not len(targets):
        return
    named = torch.arange(len(targets)) if rows is None else rows
    odd = logits.isnan().any(1)
    if odd.any():
        raise DataError(
            f"the model's answer to clean row {int(named[odd.cpu()].min())} is not a number "
            f"({int(odd.sum())} such rows).",
            fix="Mend the model, or leave those rows out.",
        )
    wrong = (targets < 0) | (targets >= logits.shape[-1])
    if wrong.any():
        row = int(torch.nonzero(wrong)[0])
        raise DataError(
            f"row {int(named[row])} has the target {int(targets[row])}, and the model knows the "
            f"classes 0 to {logits.shape[-1] - 1}.",
            fix="Give targets by code, in the order of the model's answers.",
        )
