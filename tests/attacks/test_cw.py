import torch
from attacks.linear import OPEN, linear, rows_at

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.cw import CW, cw


def test_on_a_linear_model_it_comes_close_to_the_shortest_way():
    weights, distances = torch.tensor([1.0, -2.0, 0.5, 4.0]), torch.tensor([0.3, -0.7])
    inputs, targets = rows_at(distances, weights, "l2")
    model, short = linear(weights), torch.tensor([0.33, 0.77])
    for at, far in enumerate(short):  # a ball a tenth larger than the way is large enough
        threat = Threat("l2", float(far), OPEN)
        found = cw(model, inputs, targets, threat, steps=60, searches=3)
        size = threat.size(found, inputs)[at]
        assert abs(float(distances[at])) <= float(size) <= float(far) * 1.0001


def test_it_fools_at_the_bounds_of_the_box_and_not_beyond_them():
    weights = torch.tensor([1.0, 1.0])
    inputs = torch.tensor([[0.9, 0.9], [0.1, 0.0]])
    model = linear(weights, bias=-1.0)
    found = CW(steps=60, searches=3)(
        model, inputs, torch.tensor([1, 0]), Threat("l2", 0.6, Space.box())
    )
    assert found.success.tolist() == [True, False]  # 0.57 and 0.64 away
    assert ((found.inputs >= 0) & (found.inputs <= 1)).all()
