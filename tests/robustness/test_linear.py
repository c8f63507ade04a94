import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robustness.nets import bounds
from robustness.test_certified import stack
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.pgd import PGD
from stillhouse.robustness import linear
from stillhouse.robustness.intervals import Unbounded
from stillhouse.robustness.linear import Around, leads


def mlp(seed, inputs=6, classes=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(inputs, 12), nn.ReLU(), nn.Linear(12, 10), nn.LeakyReLU(0.2),
            nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, classes),
        ).eval()  # fmt: skip


def conv(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.BatchNorm2d(3), nn.ReLU(),
            nn.Conv2d(3, 4, 3, groups=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(4, 3),
        )  # fmt: skip
        made[1].running_mean.normal_()
        made[1].running_var.uniform_(0.5, 2)
        nn.init.normal_(made[1].weight)  # also negative factors
    return made.eval()


def ball(clean, reach, norm="linf"):
    return Around(clean, clean - reach, clean + reach, norm, torch.full_like(clean, reach))


def drawn(clean, reach, norm, draw):
    """A row inside the ball, more often than not at its rim."""
    change = torch.randn(clean.shape, generator=draw)
    if norm == "linf":
        return clean + reach * change.sign()
    order = {"l2": 2, "l1": 1}[norm]
    size = change.flatten(1).norm(p=order, dim=1).view(-1, *[1] * (clean.dim() - 1))
    return clean + reach * change / size


def lead(model, inputs, targets):
    logits = model(inputs)
    others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
    return logits.gather(1, targets[:, None])[:, 0] - others


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(mlp, (6,)), (conv, (2, 8, 8)), (stack, (2, 8, 8))],
    ids=["mlp", "conv", "stack"],
)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), reach=st.floats(0, 0.4))
def test_nowhere_in_the_ball_is_the_lead_smaller(make, shape, norm, seed, reach):
    draw = torch.Generator().manual_seed(seed)
    model, clean = make(seed % 7), torch.rand(4, *shape, generator=draw)
    with torch.no_grad():
        targets = model(clean).argmax(1)
        least = leads(model, ball(clean, reach, norm), targets)
        for _ in range(10):
            inside = drawn(clean, reach, norm, draw)
            assert (lead(model, inside, targets) >= least - 1e-5).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_of_a_linear_model_the_least_lead_is_reached(norm):
    model, clean = nn.Linear(5, 2), torch.rand(6, 5)
    targets = model(clean).argmax(1)
    weight = model.weight[targets] - model.weight[1 - targets]
    size = {"linf": weight.abs().sum(1), "l2": weight.norm(dim=1), "l1": weight.abs().amax(1)}
    exact = lead(model, clean, targets) - 0.2 * size[norm]
    found = leads(model, ball(clean, 0.2, norm), targets).float()
    torch.testing.assert_close(found, exact.detach(), rtol=1e-5, atol=1e-5)


def test_of_one_relu_the_least_lead_is_that_of_its_lines():
    # y = x − 0.2 over x in [−0.4, 0.6] is open: above relu(y) lies 0.4 (y + 0.6), below it 0, for
    # −low > high; the logits are (relu(y), 0.1)
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).eval()
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(-0.2)
        model[2].weight.copy_(torch.tensor([[1.0], [0.0]]))
        model[2].bias.copy_(torch.tensor([0.0, 0.1]))
    clean = torch.tensor([[0.1], [0.1]])
    found = leads(model, ball(clean, 0.5), torch.tensor([0, 1]))
    torch.testing.assert_close(found, torch.tensor([-0.1, 0.1 - 0.4]).double(), atol=1e-6, rtol=0)


def test_far_more_is_proved_than_by_intervals_and_no_attack_disproves_it():
    model, inputs = mlp(7), torch.rand(200, 6)
    with torch.no_grad():
        targets = model(inputs).argmax(1)
        around = ball(inputs, 0.25)
        low, high = bounds(model, around.low, around.high)
    own = targets[:, None]
    boxed = low.gather(1, own)[:, 0] > high.scatter(1, own, -torch.inf).amax(1)
    proved = leads(model, around, targets) > 0
    assert (proved | ~boxed).all()
    assert proved.sum() > boxed.sum() + 100
    found = PGD(steps=40)(model, inputs, targets, Threat("linf", 0.25))
    assert not (found.success & proved).any()
    assert found.success.any()


def test_without_work_for_the_boxes_less_is_proved(monkeypatch):
    model, clean = mlp(1), torch.rand(50, 6)
    targets = model(clean).argmax(1)
    whole = leads(model, ball(clean, 0.05), targets)
    monkeypatch.setattr(linear, "WORK", 0)
    less = leads(model, ball(clean, 0.05), targets)
    assert less.mean() < whole.mean() - 0.001


def test_how_many_rows_go_at_once_changes_nothing(monkeypatch):
    model, clean = conv(2), torch.rand(7, 2, 8, 8)
    targets = model(clean).argmax(1)
    whole = leads(model, ball(clean, 0.02), targets)
    monkeypatch.setattr(linear, "CELLS", 1)
    torch.testing.assert_close(leads(model, ball(clean, 0.02), targets), whole)


def test_the_model_is_left_as_it_was():
    model, clean = mlp(3), torch.rand(5, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    leads(model.train(), ball(clean, 0.02), torch.zeros(5, dtype=torch.int64))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(value.requires_grad for value in model.parameters())


def test_a_layer_without_bounds_and_a_model_that_cannot_be_copied_are_named():
    with pytest.raises(Unbounded, match="Softmin"):
        leads(nn.Softmin(dim=1), ball(torch.rand(2, 3), 0.1), torch.tensor([0, 1]))

    class Kept(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("a handle")

    with pytest.raises(Unbounded, match="cannot be copied: a handle"):
        leads(Kept(3, 2), ball(torch.rand(2, 3), 0.1), torch.tensor([0, 1]))
