import torch
from attacks.linear import OPEN, classes, spread
from torch import nn

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.auto_pgd import checkpoints
from stillhouse.attacks.losses import odds
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat


def test_checkpoints_are_the_papers():
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(checkpoints(1)) == [1]


def test_the_log_odds_are_the_cross_entropy_in_another_unit():
    logits, targets = (
        torch.randn(50, 4, generator=torch.Generator().manual_seed(0)),
        torch.arange(50) % 4,
    )
    torch.testing.assert_close(
        nn.functional.softplus(odds(logits, targets)),
        nn.functional.cross_entropy(logits, targets, reduction="none"),
    )
    loud = torch.tensor([[2000.0, 0.0, -5.0]])
    assert nn.functional.cross_entropy(loud, torch.tensor([0])) == 0
    torch.testing.assert_close(
        odds(loud, torch.tensor([0])), torch.tensor([-2000.0]), rtol=1e-4, atol=0
    )


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


def test_on_a_net_it_leaves_no_more_rows_than_pgd_with_as_many_steps():
    from stillhouse.attacks.pgd import PGD

    model, inputs = net(), torch.rand(200, 8, generator=torch.Generator().manual_seed(0))
    targets = model(inputs).argmax(dim=1)
    for norm, epsilon in (("linf", 0.12), ("l2", 0.3)):
        left = [
            int(
                run_attack(
                    a,
                    model,
                    inputs,
                    targets,
                    threat=Threat(norm, epsilon, Space.box()),
                    generator=torch.Generator().manual_seed(0),
                ).still_correct.sum()
            )
            for a in (APGDCE(steps=40), PGD(steps=40))
        ]
        assert 0 < left[0] <= left[1] + 2
        assert left[1] < 200


def test_fooled_rows_are_not_asked_again():
    asked = []

    class Counting(nn.Module):
        def forward(self, inputs):
            asked.append(len(inputs))
            return inner(inputs + 0 * inputs)  # no chain, so that it is asked itself

    weights, inputs = spread()
    inner = classes(weights)
    targets = inner(inputs).argmax(dim=1)
    left = run_attack(
        APGDCE(steps=30),
        Counting(),
        inputs,
        targets,
        threat=Threat("linf", 0.3, OPEN),
        generator=torch.Generator(),
    ).still_correct
    assert asked[-1] == len(inputs)  # the judge's question
    open_rows = int(left.sum())
    assert open_rows <= asked[-2] < len(inputs)
    assert asked[-2] <= open_rows * 9 / 8  # a few more, to make their number a round one
