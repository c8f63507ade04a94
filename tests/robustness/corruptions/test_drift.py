import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.drift import Drift


def test_each_channel_drifts_in_a_line_by_its_own_deviation():
    deviation = torch.tensor([1.0, 10.0]).expand(4, 2)
    space = Space(
        torch.tensor(-99.0), torch.tensor(99.0), torch.tensor(1.0), deviation, torch.tensor(True)
    )
    found = Drift().apply(
        torch.zeros(20, 4, 2), severity=3, space=space, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(
        found.abs()[0], torch.tensor([[0.25, 2.5], [0.5, 5.0], [0.75, 7.5], [1.0, 10.0]])
    )
    assert set(found[:, -1, 0].tolist()) == {-1.0, 1.0}
