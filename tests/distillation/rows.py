"""Logits and batches for the tests of methods and selectors."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.models.outputs import Batch

# Three rows, three classes; every golden number in the tests is of these.
STUDENT = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.5], [-0.5, 0.25, 1.5]])
TEACHER = torch.tensor([[3.0, 1.0, -2.0], [0.5, 0.0, 2.0], [-1.0, 0.5, 2.5]])
TARGETS = torch.tensor([0, 1, 2])


def batch(targets: Tensor) -> Batch:
    return Batch(torch.zeros(len(targets), 1), targets, targets >= 0, torch.arange(len(targets)))


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def array(logits: Tensor) -> np.ndarray:
    return logits.double().numpy()


@st.composite
def pairs(
    draw: st.DrawFn, classes: tuple[int, int] = (2, 6), rows: tuple[int, int] = (1, 6)
) -> tuple[Tensor, Tensor]:
    """Two float64 tensors of logits [B, C], up to ±20."""
    size = draw(st.integers(*rows)), draw(st.integers(*classes))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    scale = draw(st.sampled_from([0.0, 0.1, 3.0, 20.0]))
    made = [
        scale * (2 * torch.rand(*size, generator=generator, dtype=torch.float64) - 1)
        for _ in range(2)
    ]
    return made[0], made[1]
