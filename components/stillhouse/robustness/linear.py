"""Linear bounds: how small the lead of a row's own class can become in a ball, by a linear function
of the row that lies below it everywhere in the ball.

The function is found from the logits back to the row. An affine layer is passed exactly; a ReLU
whose sign the box leaves open is replaced by a line above it or below it, whichever the coefficient
asks for. A layer of another kind ends the way: there the box of interval bounds is taken. The boxes
in front of ReLUs are narrowed the same way, as far as `WORK` allows.

Sound, in double precision, and much tighter than intervals: what cancels between neurons stays
cancelled.

Source:
    Zhang et al. 2018, NeurIPS 31 (CROWN), equations 7 and 8 and its adaptive lower line.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks.threat import Norm
from stillhouse.robustness.intervals import Box, Unbounded, in_a_row, through

WORK = 2**36  # multiplications that narrowing the boxes in front of one ReLU may cost
CELLS = 2**22  # coefficients that are held at once
_BENT = (nn.ReLU, nn.LeakyReLU)
_AFFINE = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten, nn.Unflatten,
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
)  # fmt: skip
_OURS = frozenset({"Normalize", "Average"})  # affine too, wherever intervals know them


@dataclass(frozen=True)
class Around:
    """Where rows may go.

    Attributes:
        clean: [B, *shape].
        low: [B, *shape], of the box that holds all of it.
        high: [B, *shape].
        norm: linf, l2 or l1; of linf the box is all there is.
        radii: [B, *shape]: how far a cell alone may go, the ball's half-axes.
    """

    clean: Tensor
    low: Tensor
    high: Tensor
    norm: Norm
    radii: Tensor

    def map(self, make: Callable[[Tensor], Tensor]) -> "Around":
        """Return the same of other tensors, made from each."""
        low, high = make(self.low), make(self.high)
        return Around(make(self.clean), low, high, self.norm, make(self.radii))


def leads(model: nn.Module, around: Around, targets: Tensor) -> Tensor:
    """Return at least how far [B] the own class's logit lies above every other inside the ball.

    Args:
        model: Of layers that have interval bounds.
        around: Where the rows may go.
        targets: [B].

    Raises:
        Unbounded: It is not of such layers, or cannot be copied.
    """
    try:
        exact = copy.deepcopy(model).double().eval().requires_grad_(False)
    except (RuntimeError, TypeError) as error:
        raise Unbounded(f"the model cannot be copied: {error}.") from None
    layers = in_a_row(exact)
    double = around.map(Tensor.double)
    with torch.no_grad():
        width = _widest(layers, double.map(lambda cells: cells[:1]))
        found = [torch.zeros(0, dtype=torch.float64)]
        for rows in torch.split(torch.arange(len(targets)), max(1, CELLS // width)):
            if not len(rows):
                break
            part = double.map(partial(torch.index_select, dim=0, index=rows))
            found.append(_leads(layers, part, targets[rows], len(targets)))
    return torch.cat(found)


def _leads(layers: Sequence[nn.Module], around: Around, targets: Tensor, total: int) -> Tensor:
    boxes = _boxes(layers, around, total)
    classes = boxes[-1][0].shape[-1]
    own = F.one_hot(targets, classes).double()
    lead = _least(layers, boxes, around, own[:, None] - torch.eye(classes, dtype=torch.float64))
    return lead.scatter(1, targets[:, None], math.inf).amin(dim=1)


def _boxes(layers: Sequence[nn.Module], around: Around, total: int) -> list[Box]:
    """Return the box before each layer and behind the last one."""
    boxes: list[Box] = [(around.low, around.high)]
    for at, layer in enumerate(layers):
        low, high = through(layer, boxes[-1])
        bent = at + 1 < len(layers) and type(layers[at + 1]) in _BENT
        # of an affine layer of the box itself intervals are exact
        loose = around.norm != "linf" or any(type(one) in _BENT for one in layers[:at])
        if bent and loose and total * _cost(layers[: at + 1], boxes, low) <= WORK:
            unit = torch.eye(low[0].numel(), dtype=torch.float64).expand(len(low), -1, -1)
            unit = unit.reshape(len(low), -1, *low.shape[1:])
            least = _least(layers[: at + 1], boxes, around, unit).reshape(low.shape)
            most = -_least(layers[: at + 1], boxes, around, -unit).reshape(low.shape)
            low, high = torch.maximum(low, least), torch.minimum(high, most)
        boxes.append((low, high))
    return boxes


def _cost(layers: Sequence[nn.Module], boxes: Sequence[Box], behind: Tensor) -> int:
    """Return about the multiplications for one row: each neuron goes back through every layer."""
    sizes = [low[0].numel() for low, _ in boxes[1:]] + [behind[0].numel()]
    once = sum(_of(layer, out) for layer, out in zip(layers, sizes, strict=True))
    return 2 * behind[0].numel() * once


def _of(layer: nn.Module, out: int) -> int:
    """Return the multiplications of a layer that gives `out` numbers."""
    weight = getattr(layer, "weight", None)
    return out * (weight[0].numel() if isinstance(weight, Tensor) else 1)


def _widest(layers: Sequence[nn.Module], one: Around) -> int:
    """Return the most coefficients that a single row needs. Errors as `through`."""
    box = one.low, one.high
    sizes, bent = [math.prod(box[0].shape[1:])], [1]
    for at, layer in enumerate(layers):
        box = through(layer, box)
        sizes.append(math.prod(box[0].shape[1:]))
        if at + 1 < len(layers) and type(layers[at + 1]) in _BENT:
            bent.append(sizes[-1])
    return max(1, max(sizes) * max(*bent, sizes[-1]))


def _least(
    layers: Sequence[nn.Module], boxes: Sequence[Box], around: Around, factors: Tensor
) -> Tensor:
    """Return the least value [B, K] that K linear functions of what the last layer gives can take.

    Args:
        layers: In their order.
        boxes: Before each of them.
        around: Where the rows may go.
        factors: [B, K, *out].
    """
    rows, functions = factors.shape[:2]
    constant = torch.zeros(rows, functions, dtype=torch.float64)
    for at in range(len(layers) - 1, -1, -1):
        layer, (low, high) = layers[at], boxes[at]
        if type(layer) in _BENT:
            above, below, starts = _lines(layer, low, high)
            down, up = factors.clamp_max(0), factors.clamp_min(0)
            constant = constant + (down * starts[:, None]).flatten(2).sum(2)
            factors = up * below[:, None] + down * above[:, None]
        elif type(layer) in _AFFINE or type(layer).__name__ in _OURS:
            factors, offset = _passed(layer, factors, low.shape[1:])
            constant = constant + offset
        else:
            behind_low, behind_high = boxes[at + 1]
            return constant + _in_box(factors, behind_low, behind_high)
    return constant + _in_ball(factors, around)


def _passed(layer: nn.Module, factors: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return K linear functions of what an affine layer gives as such of what it takes: factors
    [B, K, *shape], and what the layer itself adds, [B, K].
    """
    rows, functions = factors.shape[:2]
    zero = torch.zeros(rows * functions, *shape, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        made = layer(zero)
        (turned,) = torch.autograd.grad(made, zero, factors.reshape(made.shape))
    added = (factors * made[:1].detach()[None]).flatten(2).sum(2)
    return turned.reshape(rows, functions, *shape), added


def _lines(layer: nn.Module, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the slopes of the line above a bent layer and of the one below it, and where the upper
    one starts, each as `low`; the lower one goes through 0.
    """
    flat = float(getattr(layer, "negative_slope", 0.0))
    open_ = (low < 0) & (high > 0)
    chord = (high - flat * low) / torch.where(open_, high - low, 1.0)
    sure = torch.where(low >= 0, 1.0, flat)
    above = torch.where(open_, chord, sure)
    below = torch.where(open_, torch.where(high > -low, 1.0, flat), sure)
    return above, below, torch.where(open_, (flat - chord) * low, 0.0)


def _in_box(factors: Tensor, low: Tensor, high: Tensor) -> Tensor:
    middle, half = (low + high) / 2, (high - low) / 2
    parts = factors * middle[:, None] - factors.abs() * half[:, None]
    return parts.flatten(2).sum(2)


def _in_ball(factors: Tensor, around: Around) -> Tensor:
    """Return the least values [B, K] over box and ball, of which the row is in both."""
    inside = _in_box(factors, around.low, around.high)
    if around.norm == "linf":
        return inside
    reach = (factors * around.radii[:, None]).flatten(2)
    size = reach.norm(dim=2) if around.norm == "l2" else reach.abs().amax(dim=2)
    return torch.maximum(inside, (factors * around.clean[:, None]).flatten(2).sum(2) - size)
