"""Interval bounds: what a layer can give at most and at least over a box. Sound but for rounding,
and the looser the more layers follow each other.
"""

from torch import Tensor, nn
from torch.nn import functional as F

Box = tuple[Tensor, Tensor]


class Unbounded(Exception):
    """A layer whose bounds are not known; its text names it."""


def in_a_row(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a model in their order; what is no sequence is one layer."""
    if isinstance(model, nn.Sequential):
        return [layer for part in model for layer in in_a_row(part)]
    parts = dict(model.named_children())
    if set(parts) == {"normalize", "net"}:  # the house's own: a net behind its normalisation
        return [parts["normalize"], *in_a_row(parts["net"])]
    return [model]


def through(layer: nn.Module, box: Box) -> Box:
    """Return the smallest and the largest values behind a layer over boxes (low, high), each
    [B, *shape].

    A box goes through an affine layer by its middle and half-width (the width by the weights'
    sizes), through a layer that only rises by its two ends.

    Args:
        layer: An affine one, ReLU or another that only rises, pooling, batch normalisation as it is
            when evaluated, or a reshape.
        box: In front of it.

    Raises:
        Unbounded: It is none of those.

    Source:
        Gowal et al. 2018, arXiv:1810.12715, section 3.
    """
    name = type(layer).__name__
    if name in _RISING or (name == "Normalize" and getattr(layer, "plain", False)):
        return layer(box[0]), layer(box[1])
    found = _affine(layer, box)
    if found is None:
        raise Unbounded(f"there are no interval bounds for a layer of the kind {name}.")
    return found


_RISING = frozenset(
    {
        "ReLU", "ReLU6", "LeakyReLU", "Sigmoid", "Tanh", "Hardtanh", "Softplus", "ELU",
        "Flatten", "Unflatten", "Identity", "Dropout", "Dropout1d", "Dropout2d",
        "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d",
        "AdaptiveAvgPool2d", "Average",
    }
)  # fmt: skip


def _affine(layer: nn.Module, box: Box) -> Box | None:
    """Return the box behind an affine layer; None where it is no such layer."""
    middle, half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2
    width = _widened(layer, half)
    return None if width is None else (layer(middle) - width, layer(middle) + width)


def _widened(layer: nn.Module, half: Tensor) -> Tensor | None:
    """Return the half-widths behind an affine layer: its weights' sizes times those before it."""
    if isinstance(layer, nn.Linear):
        return F.linear(half, layer.weight.abs())
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.padding_mode == "zeros":
        apply = F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        made: Tensor = apply(half, layer.weight.abs(), None, *geometry)  # type: ignore[arg-type]
        return made
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_var is not None:
        factor = (layer.running_var + layer.eps).rsqrt()
        factor = factor if layer.weight is None else factor * layer.weight.abs()
        return half * factor.view(1, -1, *[1] * (half.dim() - 2))
    return None
