import pytest
import torch
from attacks.linear import OPEN, linear, rows_at
from robustness.nets import Rounded
from torch import nn

from stillhouse.attacks.hop_skip_jump import HopSkipJump
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat

WEIGHTS = torch.tensor([1.0, -2.0, 0.5, 4.0])


class Decided(nn.Module):
    """Answers 1 for the class that it has decided on and 0 for the others: no logit tells how near
    another is.
    """

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, inputs):
        return nn.functional.one_hot(self.inner(inputs).argmax(dim=1), 2).float()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_decisions_alone_are_enough_to_find_the_rows_well_inside_the_ball(norm):
    inputs, targets = rows_at(torch.tensor([0.3, -0.3, 0.5, 1.05, -2.0]), WEIGHTS, norm)
    attack = HopSkipJump(steps=8, samples=20)
    model = Decided(Rounded(linear(WEIGHTS), steps=64))
    found = run_attack(
        attack,
        model,
        inputs,
        targets,
        threat=Threat(norm, 1.0, OPEN),
        generator=torch.Generator().manual_seed(0),
    )
    assert found.still_correct.tolist() == [False, False, False, True, True]


def test_a_model_with_one_answer_is_left_as_it_is():
    class Stubborn(nn.Module):
        def forward(self, inputs):
            return torch.tensor([[1.0, 0.0]]).expand(len(inputs), -1)

    inputs = torch.rand(3, 4)
    found = run_attack(
        HopSkipJump(steps=2, samples=3),
        Stubborn(),
        inputs,
        torch.zeros(3, dtype=torch.int64),
        threat=Threat("l2", 0.1, OPEN),
        generator=torch.Generator(),
    )
    assert found.still_correct.all()
    assert torch.equal(found.inputs, inputs)
