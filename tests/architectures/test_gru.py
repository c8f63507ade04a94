import torch

from stillhouse.architectures.gru import GRU
from stillhouse.models.macs import macs
from stillhouse.models.taps import tapped


def test_the_last_state_decides() -> None:
    net = GRU(width=5, depth=2).build((7, 3), 4).eval()
    found = tapped(net, torch.rand(2, 7, 3), ("states", "last"))
    assert found.logits.shape == (2, 4)
    assert found.features["states"].shape == (2, 7, 5)
    torch.testing.assert_close(found.features["last"], found.features["states"][:, -1])


def test_both_ways_means_the_end_of_each_way() -> None:
    net = GRU(width=5, both_ways=True).build((7, 3), 4).eval()
    rows = torch.rand(2, 7, 3)
    _, last = net.states.gru(rows)
    torch.testing.assert_close(
        tapped(net, rows, ("last",)).features["last"], torch.cat([last[0], last[1]], dim=1)
    )


def test_arithmetic_of_the_gates_is_counted() -> None:
    net = GRU(width=5, depth=2).build((7, 3), 4)
    assert macs(net, (7, 3)) == 7 * 3 * (5 * (3 + 5) + 5 * (5 + 5)) + 5 * 4
