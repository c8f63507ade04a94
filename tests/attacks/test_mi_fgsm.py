import torch
from attacks.linear import OPEN, linear
from torch import nn

from stillhouse.attacks.mi_fgsm import MIFGSM
from stillhouse.attacks.threat import Threat


class Turning(nn.Module):
    """Two classes whose boundary pulls along the first axis until 0.1 and slightly back from there,
    along the second always.
    """

    def forward(self, inputs):
        first, second = inputs.unbind(dim=1)
        bump = torch.where(first < 0.1, first, 0.1 - 0.2 * (first - 0.1))
        return torch.stack([torch.full_like(first, 5.0), bump + second], dim=1)


def moved(decay, norm="linf", steps=4):
    threat = Threat(norm, 0.4, OPEN)
    return MIFGSM(steps=steps, decay=decay).perturb(
        Turning(), torch.zeros(1, 2), torch.tensor([0]), threat=threat, generator=torch.Generator()
    )


def test_momentum_carries_over_a_bump_that_stops_plain_steps():
    plain, carried = moved(0.0), moved(1.0)
    # Without momentum the first axis turns back at 0.1 and ends beside it; the sum of gradients
    # still points on.
    torch.testing.assert_close(plain, torch.tensor([[0.2, 0.4]]), atol=0.11, rtol=0)
    assert plain[0, 0] <= 0.21
    assert abs(float(carried[0, 1]) - 0.4) < 1e-6


def test_two_l2_steps_are_the_sum_that_the_paper_writes():
    weights = torch.tensor([3.0, -4.0])
    found = MIFGSM(steps=2).perturb(
        linear(weights),
        torch.tensor([[9.0, 0.0]]),
        torch.tensor([1]),
        threat=Threat("l2", 0.5, OPEN),
        generator=torch.Generator(),
    )
    torch.testing.assert_close(found, torch.tensor([[9.0 - 0.3, 0.4]]))
