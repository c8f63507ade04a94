import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat
from stillhouse.evaluation.labels import exact_rows
from stillhouse.robustness.case import make_cases
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.turned import turn, turned, weakest

NAN = float("nan")
LINE = torch.tensor([[1.0, 0.0, 0.5], [0.0, 2.0, 0.0]])


class Net(torch.nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ LINE.T


def rows(n: int = 60) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    targets = (inputs @ LINE.T > 0).float()
    targets[::4, 1] = NAN
    return inputs, targets


def test_the_weakest_label_is_the_known_one_nearest_to_a_mistake():
    odds = torch.tensor([[2.0, -0.5], [2.0, -0.5], [-1.0, 3.0]])
    truth = torch.tensor([[1.0, 0.0], [1.0, NAN], [1.0, 1.0]])
    assert weakest(odds, truth).tolist() == [0.5, 2.0, -1.0]


def test_a_line_is_turned_exactly_where_the_ball_reaches_it():
    """In linf a label's log-odds fall by epsilon times the sum of its weights, and no further."""
    inputs, targets = rows()
    epsilon, box = 0.3, Space.box(-9.0, 9.0)
    moved = turn(Net(), inputs, targets, Threat("linf", epsilon, box), steps=20)
    assert ((moved - inputs).abs() <= epsilon + 1e-5).all()
    reach = epsilon * LINE.abs().sum(dim=1)
    margins = torch.where(targets == 1, inputs @ LINE.T, -(inputs @ LINE.T))
    falls = ((margins < reach - 1e-3) & ~targets.isnan()).any(dim=1)
    holds = ((margins > reach + 1e-3) | targets.isnan()).all(dim=1)
    still = exact_rows(Net()(moved), targets)
    assert falls.any()
    assert holds.any()
    assert not still[falls].any()
    assert still[holds].all()


class Flip(Corruption):
    def apply(self, inputs, *, severity, space, generator):
        return -inputs if severity == 5 else inputs


def test_the_deployed_model_has_the_last_word_on_every_row():
    inputs, targets = rows()
    subject = Subject(Net(), Net(), inputs, targets, Space.box(-9.0, 9.0), 0)
    cases = make_cases([{"name": "pgd", "norm": "linf", "epsilon": 0.3}], "robustness.attacks")
    found = turned(subject, cases, {"flip": Flip()})
    assert found.clean.all()
    outcomes = found.outcomes()
    assert outcomes["corruption/flip/4"].all()
    assert not outcomes["corruption/flip/5"].all()
    told = found.metrics()
    share = float(outcomes["attack/pgd_linf_0.3"].double().mean())
    assert told["robust/pgd_linf_0.3/exact_match"] == told["robust/linf/exact_match"] == share < 1
    worst = float(outcomes["corruption/flip/5"].double().mean())
    assert told["corruption/worst_exact_match"] == worst
    deaf = Subject(Net(), lambda given: -Net()(given), inputs, targets, subject.space, 0)
    assert not turned(deaf, cases, {}).clean.any()
    assert found.as_dict(0)["attacks"][0]["exact_match"][1] == share
