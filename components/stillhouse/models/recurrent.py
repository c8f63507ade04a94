"""A recurrent layer that an exporter writes as one operator: tracing every step would take minutes
at a thousand of them.
"""

from typing import Any

import torch
from torch import Tensor, nn

GATES = 3


@torch.library.custom_op("stillhouse::gru", mutates_args=())
def gru(
    rows: Tensor, inputs: Tensor, states: Tensor, biases: Tensor, width: int, both_ways: bool
) -> Tensor:
    """Return every step's state, as ONNX's operator GRU does with `linear_before_reset`.

    Args:
        rows: [T, B, D].
        inputs: Weights of the rows [ways, 3 × width, D], gates in ONNX's order: update, reset, new.
        states: Weights of the state [ways, 3 × width, width].
        biases: Of both, one after the other [ways, 6 × width].
        width: Units.
        both_ways: Whether the second way reads backwards.

    Returns:
        [T, ways, B, width].
    """
    found = []
    for way in range(2 if both_ways else 1):
        given = rows.flip(0) if way else rows
        first = rows.new_zeros(1, rows.shape[1], width)
        row_bias, state_bias = biases[way].chunk(2)
        held = [_turned(each) for each in (inputs[way], states[way], row_bias, state_bias)]
        out, _ = torch.gru(given, first, held, True, 1, 0.0, False, False, False)
        found.append(out.flip(0) if way else out)
    return torch.stack(found, dim=1)


@gru.register_fake
def _(
    rows: Tensor,
    inputs: Tensor,
    states: Tensor,  # noqa: ARG001 - only the shape is asked for
    biases: Tensor,  # noqa: ARG001
    width: int,
    both_ways: bool,  # noqa: ARG001
) -> Tensor:
    return rows.new_empty(rows.shape[0], inputs.shape[0], rows.shape[1], width)


def _turned(weight: Tensor) -> Tensor:
    """Swap the first two gates: torch has reset before update, ONNX the other way round."""
    width = len(weight) // GATES
    return torch.cat([weight[width : 2 * width], weight[:width], weight[2 * width :]])


def traced(layer: nn.GRU, rows: Tensor) -> Tensor:
    """Return a layer's states [B, T, ways × width] of rows [B, T, D], in a form that is exported as
    one operator a layer.
    """
    given = rows.transpose(0, 1)
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    for number in range(layer.num_layers):
        inputs, states, row_bias, state_bias = (
            torch.stack([_turned(getattr(layer, f"{name}_l{number}{end}")) for end in ends])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        biases = torch.cat([row_bias, state_bias], dim=1)
        found = gru(given, inputs, states, biases, layer.hidden_size, layer.bidirectional)
        given = found.transpose(1, 2).flatten(2)
    return given.transpose(0, 1)


def as_onnx(rows: Any, inputs: Any, states: Any, biases: Any, width: int, both_ways: bool) -> Any:
    """Return ONNX's operator in place of ours; the exporter calls it with values of the graph."""
    from onnxscript import opset18

    way = "bidirectional" if both_ways else "forward"
    found, _ = opset18.GRU(
        rows,
        inputs,
        states,
        biases,
        None,
        None,
        hidden_size=width,
        direction=way,
        linear_before_reset=1,
    )
    return found
