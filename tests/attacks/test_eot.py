import pytest
import torch
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.eot import EOT, MeanAnswer
from stillhouse.attacks.pgd import PGD
from stillhouse.errors import SettingsError


class Jittered(nn.Module):
    """A linear model whose weights are drawn anew at every question: the right ones in the mean."""

    def forward(self, inputs):
        weights = torch.tensor([1.0, -1.0, 1.0, -1.0]) + 3 * torch.randn(len(inputs), 4)
        score = (inputs * weights).sum(1)
        return torch.stack([-score, score], dim=1)


def test_the_mean_answer_is_the_mean():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.asked = 0

        def forward(self, inputs):
            self.asked += 1
            return inputs * self.asked

    model = Counting()
    assert MeanAnswer(model, 4)(torch.ones(1, 2)).tolist() == [[2.5, 2.5]]


def test_the_mean_of_draws_leads_where_single_draws_do_not():
    inputs = torch.full((200, 4), 0.5) + torch.tensor([0.2, -0.2, 0.2, -0.2])
    targets, sure = torch.ones(200, dtype=torch.int64), torch.tensor([-1.0, 1.0, -1.0, 1.0])
    threat = Threat("linf", 0.3)
    moved = [
        attack(Jittered(), inputs, targets, threat, torch.Generator().manual_seed(0)).inputs
        for attack in (PGD(steps=10), EOT(attack={"name": "pgd", "steps": 10}, draws=30))
    ]
    went = [float(((at - inputs).sign() == sure).float().mean()) for at in moved]
    assert went[1] > went[0] + 0.1


def test_an_eot_of_an_eot_is_refused():
    EOT(attack={"name": "fgsm"})
    with pytest.raises(SettingsError, match="eot of an eot"):
        EOT(attack={"name": "eot"})
