import torch
from attacks.linear import linear

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.universal import Universal


def test_one_change_fits_on_every_row():
    weights = torch.tensor([2.0, -1.0, 0.5])
    inputs = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.3
    model = linear(weights)
    keep = model(inputs).argmax(1) == 1
    inputs = inputs[keep]
    targets = torch.ones(len(inputs), dtype=torch.int64)
    for norm in ("linf", "l2", "l1"):
        threat = Threat(norm, 0.3, Space.box(-9, 9))
        found = Universal()(model, inputs, targets, threat)
        change = found.inputs - inputs
        torch.testing.assert_close(change, change[:1].expand_as(change), atol=1e-6, rtol=0)
        dual = {"linf": weights.abs().sum(), "l2": weights.norm(), "l1": weights.abs().max()}[norm]
        torch.testing.assert_close((change[0] @ -weights), 0.3 * dual, rtol=0.02, atol=0)
