"""Nets that hide their gradients, beside what the reference implementation found on the same rows:
weights and outcomes are stored as benchmarks/robustness/masked.py made them.
"""

from functools import cache, partial
from pathlib import Path

import pytest
import torch
from robustness.nets import Loud, Rounded
from sklearn.datasets import load_digits
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.autoattack import AutoAttack
from stillhouse.attacks.cascade import Cascade
from stillhouse.attacks.pgd import PGD
from stillhouse.workspace import load_tensors

STORED = Path(__file__).with_name("masked.safetensors")
ROWS, EPSILON = 200, 0.1
POINTS = 0.005  # how far above the reference's robust accuracy ours may be


MASKS = {
    "as it is": lambda net: net,
    "logits x 1000": Loud,
    "behind a rounding layer": partial(Rounded, steps=16),
}


@cache
def stored():
    return load_tensors(STORED)


def net():
    with torch.random.fork_rng(devices=[]):
        made = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    made.load_state_dict(
        {
            name.removeprefix("net/"): tensor
            for name, tensor in stored().items()
            if name.startswith("net/")
        }
    )
    return made.eval()


def rows():
    found = load_digits()
    inputs = torch.tensor(found.data, dtype=torch.float32)[-ROWS:] / 16
    return inputs, torch.tensor(found.target)[-ROWS:]


def robust(attack, name):
    inputs, targets = rows()
    return attack(MASKS[name](net()), inputs, targets, Threat("linf", EPSILON)).still_correct


@pytest.mark.parametrize("name", list(MASKS))
def test_the_cascade_is_never_more_than_half_a_point_above_the_reference(name):
    reference = stored()[f"still/{name}"].double().mean()
    assert robust(Cascade(), name).double().mean() <= reference + POINTS


@pytest.mark.stories
@pytest.mark.parametrize("name", list(MASKS))
def test_the_composition_is_never_more_than_half_a_point_above_the_reference(name):
    reference = stored()[f"still/{name}"].double().mean()
    assert robust(AutoAttack(), name).double().mean() <= reference + POINTS


def test_the_mask_is_one():
    """The control: without a gradient PGD alone leaves what the cascade does not."""
    name = "behind a rounding layer"
    assert robust(PGD(), name).sum() > robust(Cascade(), name).sum() + 20
