"""ONNX's gated recurrent unit as torch operations, so that a gradient leads back through time.

Source:
    onnx.ai/onnx/operators/onnx__GRU; Cho et al. 2014, arXiv:1406.1078.
"""

import torch
from torch import Tensor


def gru(
    inputs: Tensor,
    weights: Tensor,
    recurrent: Tensor,
    biases: Tensor | None = None,
    lengths: Tensor | None = None,
    first: Tensor | None = None,
    *,
    hidden_size: int,
    direction: str = "forward",
    linear_before_reset: int = 0,
    **other: object,
) -> Tensor:
    """Return the states [T, D, B, H] of D directions.

    Args:
        inputs: [T, B, I].
        weights: [D, 3 H, I]: update, reset, new.
        recurrent: [D, 3 H, H].
        biases: [D, 6 H], those of the weights first.
        lengths: Of each row, which must all be T: None.
        first: States [D, B, H] before the first step; 0 where there are none.
        hidden_size: H.
        direction: forward, reverse or bidirectional.
        linear_before_reset: Whether the reset gate meets the product with the state, as torch's
            does, or the state itself.
        other: Other activations, clipping, another layout.

    Raises:
        NotImplementedError: One of those, or lengths.
    """
    if lengths is not None or {name for name in other if other[name] not in (0, None)}:
        raise NotImplementedError("a GRU with lengths, other activations or another layout")
    ways = {"forward": (1,), "reverse": (-1,), "bidirectional": (1, -1)}[direction]
    found = []
    for at, way in enumerate(ways):
        bias = inputs.new_zeros(6 * hidden_size) if biases is None else biases[at]
        state = inputs.new_zeros(inputs.shape[1], hidden_size) if first is None else first[at]
        steps = inputs if way == 1 else inputs.flip(0)
        made = _along(steps, weights[at], recurrent[at], bias, state, bool(linear_before_reset))
        found.append(made if way == 1 else made.flip(0))
    return torch.stack(found, dim=1)


def _along(
    steps: Tensor, weights: Tensor, recurrent: Tensor, bias: Tensor, state: Tensor, late: bool
) -> Tensor:
    size = state.shape[1]
    own, again = bias[: 3 * size], bias[3 * size :]
    states = []
    for given in steps @ weights.t() + own:
        update, reset, new = given.split(size, dim=1)
        gates = state @ recurrent[: 2 * size].t() + again[: 2 * size]
        update = (update + gates[:, :size]).sigmoid()
        reset = (reset + gates[:, size:]).sigmoid()
        last, shift = recurrent[2 * size :].t(), again[2 * size :]
        past = reset * (state @ last + shift) if late else (reset * state) @ last + shift
        state = (1 - update) * (new + past).tanh() + update * state
        states.append(state)
    return torch.stack(states)
