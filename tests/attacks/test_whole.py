"""Tables of whole numbers, whose worst case is known by trying every row of the ball."""

import pytest
import torch
from attacks.linear import linear

from stillhouse import plugins
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat
from stillhouse.data.schema import Feature, Schema

WEIGHTS, BIAS = torch.tensor([1.0, 2.0]), -64.3
SCHEMA = Schema("table", (2,), (), (Feature("age", "integer"), Feature("visits", "integer")))
SIZES = {"linf": lambda d: d.abs().amax(-1), "l2": lambda d: d.norm(dim=-1)}


def rows(count=120):
    draw = torch.Generator().manual_seed(0)
    age, visits = (torch.randint(*b, (count,), generator=draw) for b in ((20, 90), (0, 10)))
    return torch.stack([age, visits], dim=1).float()


def withstands(inputs, targets, threat):
    """Whether no row of whole numbers in the ball and the bounds has another class."""
    steps = torch.cartesian_prod(torch.arange(-30, 31), torch.arange(-9, 10)).float()
    tried = inputs[:, None] + steps
    inside = SIZES[threat.norm](steps / threat.space.scale) <= threat.epsilon
    inside = inside & ((tried >= threat.space.low) & (tried <= threat.space.high)).all(-1)
    fools = (tried @ WEIGHTS + BIAS > 0).long() != targets[:, None]
    return ~(fools & inside).any(1)


def attacked(name, norm, epsilon):
    """Who is left under an attack, and who withstands everything."""
    inputs, model = rows(), linear(WEIGHTS, BIAS)
    targets = model(inputs).argmax(dim=1)
    threat = Threat(norm, epsilon, Space.of(SCHEMA, inputs))
    found = run_attack(
        plugins.load("attacks", name)(),
        model,
        inputs,
        targets,
        threat=threat,
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(found.inputs, found.inputs.round())
    return found.still_correct, withstands(inputs, targets, threat)


def pairs():
    names = ("hop_skip_jump", "cw", "deepfool", "fab", "cascade")
    return [(n, norm) for n in names for norm in SIZES if norm in plugins.load("attacks", n).norms]


@pytest.mark.parametrize(("name", "norm"), pairs())
def test_a_search_for_the_boundary_finds_most_of_what_whole_numbers_fool(name, norm):
    left, sure = attacked(name, norm, 0.4)
    assert left[sure].all()
    assert 0 < int((~sure).sum()) < len(sure)
    assert int((~left).sum()) >= 0.6 * int((~sure).sum())


def test_the_next_whole_number_is_told_in_both_directions():
    space = Space.of(SCHEMA, rows())
    clean, moved = torch.tensor([[50.0, 5.0]]), torch.tensor([[51.2, 4.7]])
    assert space.outward(moved, clean).tolist() == [[52.0, 4.0]]
    assert space.inward(moved, clean).tolist() == [[51.0, 5.0]]


def test_whole_columns_stay_apart_where_a_constraint_says_so():
    pressure = (Feature("systolic", "integer"), Feature("diastolic", "integer"))
    schema = Schema("table", (2,), (), pressure, constraints=("systolic > diastolic",))
    space = Space.of(schema, torch.tensor([[80.0, 60.0], [160.0, 159.0]])).within(
        {"systolic": 4.0, "diastolic": 4.0}
    )
    # each moves up, the lower one more: towards its own clean value both would end at 97
    clean, moved = torch.tensor([[95.0, 94.0]]), torch.tensor([[97.78, 97.27]])
    threat = Threat("l2", 1.0, space)
    landed = threat.snap(moved, clean)
    assert (landed[:, 0] > landed[:, 1]).all()
    assert threat.allows(landed, clean).all()
