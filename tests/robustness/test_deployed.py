import torch
from robustness.nets import blobs, net
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.pgd import PGD
from stillhouse.errors import SourceError
from stillhouse.robustness.deployed import Deployed, twin_of


def test_the_deployed_model_decides_and_its_twin_leads():
    inputs, targets = blobs()
    model = net()
    shifted = Deployed(lambda x: model(x).detach() + torch.tensor([0.0, 1e-3]), model)
    moved = inputs.clone().requires_grad_(True)
    told = shifted(moved)
    assert torch.equal(told.detach(), model(inputs).detach() + torch.tensor([0.0, 1e-3]))
    [ours] = torch.autograd.grad(told[:, 0].sum(), moved)
    [theirs] = torch.autograd.grad(model(moved)[:, 0].sum(), moved)
    torch.testing.assert_close(ours, theirs)
    found = PGD()(shifted, inputs, targets, Threat("linf", 0.1))
    assert torch.equal(found.success, shifted(found.inputs).argmax(1) != targets)
    assert found.success.any()


def test_a_twin_that_answers_otherwise_is_none():
    inputs, _ = blobs()
    model = net()

    def ask(x):
        return model(x).detach()

    assert twin_of(net, ask, inputs)[0] is not None
    assert "answers otherwise" in twin_of(lambda: nn.Linear(2, 2), ask, inputs)[1]
    assert "another shape" in twin_of(lambda: nn.Linear(2, 3), ask, inputs)[1]

    def missing():
        raise SourceError("there is no gradient for its operator Round.", fix="None.")

    assert "Round" in twin_of(missing, ask, inputs)[1]
