import pytest
import torch
from torch import nn

from stillhouse.attacks.gradient import margin
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.windowed import Windowed


class Shifted(nn.Module):
    """A net behind numbers of its own."""

    def __init__(self, net):
        super().__init__()
        self.net, self.mean = net, torch.full((1, 1, 1), 0.3)

    def forward(self, inputs):
        return self.net((inputs - self.mean) / 0.5)


class Branched(nn.Module):
    """The same answers, but no chain."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs):
        return self.net(inputs + 0 * inputs)


def learned(*layers, channels=1):
    """Return a net in eval mode whose norms have seen rows."""
    torch.manual_seed(0)
    net = nn.Sequential(*layers)
    net(torch.rand(16, channels, 13, 12))
    return net.eval().requires_grad_(False)


NETS = {
    "strides": learned(
        *(nn.Conv2d(1, 4, 4, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 4, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(54, 9), nn.ReLU(), nn.Linear(9, 3)),
    ),
    "norms and pools": Shifted(
        learned(
            *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.GELU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
        )
    ),
    "uneven": learned(
        *(nn.Conv2d(1, 4, (3, 2), (2, 3), (1, 0), dilation=(2, 1)), nn.Tanh()),
        *(nn.Conv2d(4, 4, 3, 2, groups=2), nn.Flatten(), nn.LazyLinear(3)),
    ),
    "places that nothing sees": learned(
        nn.Conv2d(1, 4, 2, stride=4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    ),
}
WINDOWS = [
    (slice(0, 1), slice(0, 1)),
    (slice(12, 13), slice(11, 12)),
    (slice(4, 7), slice(8, 10)),
    (slice(0, 13), slice(3, 4)),
]


@pytest.mark.parametrize("name", NETS)
def test_the_answers_are_the_models_own_window_after_window(name):
    net, rows = NETS[name], torch.rand(6, 1, 13, 12)
    known = Windowed.of(net, rows)
    known.hold(rows)
    for window in WINDOWS * 2:
        tried = rows.clone()
        tried[:, :, window[0], window[1]] = new = torch.rand_like(tried[:, :, window[0], window[1]])
        torch.testing.assert_close(known.ask(new, window), net(tried), atol=1e-5, rtol=1e-4)
        which = torch.tensor([1, 3])  # only some of them keep the change
        known.take(which)
        rows[which] = tried[which]
        if len(rows) == 6:  # one leaves
            stay = torch.tensor([True, True, False, True, True, True])
            known.keep(stay)
            rows = rows[stay]


def test_models_that_it_does_not_know_are_left_alone():
    rows = torch.rand(4, 1, 13, 12)
    assert Windowed.of(NETS["strides"], rows) is not None
    assert Windowed.of(Branched(NETS["strides"]), rows) is None
    assert Windowed.of(learned(nn.Flatten(), nn.Linear(156, 3)), rows) is None
    assert Windowed.of(NETS["strides"], rows[:0]) is None


def test_it_pays_by_rows_and_by_what_a_window_leaves_alone():
    known = Windowed.of(NETS["strides"], torch.rand(2, 1, 13, 12))
    small, whole = (slice(3, 4), slice(3, 4)), (slice(0, 13), slice(0, 12))
    assert known.pays(small, 10_000)
    assert not known.pays(small, 1)
    assert not known.pays(whole, 10_000)


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr("stillhouse.attacks.windowed._LEAST_SAVED", 1)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", NETS)
def test_square_finds_the_same_with_it_and_without(name):
    inputs = torch.rand(40, 1, 13, 12)
    targets = NETS[name](inputs).argmax(1)
    found = [
        run_attack(
            Square(queries=150),
            model,
            inputs,
            targets,
            threat=Threat("linf", 0.2),
            generator=torch.Generator().manual_seed(1),
        )
        for model in (NETS[name], Branched(NETS[name]))
    ]
    assert torch.equal(found[0].success, found[1].success)
    told, plain = (margin(NETS[name](each.inputs), targets) for each in found)
    assert (margin(NETS[name](inputs), targets) - told > 0.01).any()  # it found something
    still = ~found[0].success  # how far beyond the border a row got is luck
    torch.testing.assert_close(told[still], plain[still], atol=0.02, rtol=0.01)
