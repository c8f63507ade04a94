import pytest
import torch
from torch import nn

from stillhouse.attacks.chain import chain_of, follow

ROWS = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A model whose forward pass is given."""

    def __init__(self, forward):
        super().__init__()
        self.layer, self.asked = nn.Linear(36, 3), forward

    def forward(self, inputs):
        return self.asked(self, inputs)


@pytest.mark.parametrize(
    "forward",
    [
        lambda own, x: own.layer(x.flatten(1)),
        lambda own, x: own.layer(((x - 0.5) / 0.2).relu_().flatten(1)) * 2,
        lambda own, x: own.layer((x * own.layer.weight.mean()).reshape(-1, 36)),
    ],
)
def test_a_model_without_branches_is_its_calls_in_turn(forward):
    model = Own(forward).requires_grad_(False)
    calls = chain_of(model, ROWS)
    assert calls
    others = torch.rand(5, 1, 6, 6)
    torch.testing.assert_close(follow(calls, others.clone()), model(others))


@pytest.mark.parametrize(
    "forward",
    [
        lambda own, x: own.layer((x + x.relu()).flatten(1)),  # a branch
        lambda own, x: own.layer(torch.cat([x, x], dim=1)[:, :1].flatten(1)),  # a list of rows
        lambda own, x: own.layer(x.view(2, 36)) if len(x) == 2 else own.layer(x.flatten(1)),
        lambda own, x: own.layer(x.flatten(1)) + torch.rand(3),  # it draws
        lambda own, x: own.layer(x.flatten(1)) + (1.0 if len(x) > 2 else 0.0),
        lambda own, x: own.layer(x.max(dim=1)[0].flatten(1)),  # one of two answers
        lambda own, x: own.layer(torch.from_numpy(x.numpy()).flatten(1)),  # torch does not see it
        lambda own, x: x,
    ],
)
def test_any_other_model_is_no_chain(forward):
    assert chain_of(Own(forward).requires_grad_(False), ROWS) == []
