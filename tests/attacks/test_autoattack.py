import torch
from attacks.linear import OPEN, classes, spread

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.autoattack import AutoAttack
from stillhouse.attacks.compose import in_turn
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat


class Noting(Attack):
    def __init__(self, shift):
        self.shift, self.given = shift, []

    def perturb(self, model, inputs, targets, *, threat, generator):
        self.given.append(len(inputs))
        return inputs + self.shift


def test_it_is_the_published_four_in_their_order():
    assert [type(attack).__name__ for attack in AutoAttack().attacks] == [
        "APGDCE",
        "APGDTargeted",
        "FAB",
        "Square",
    ]
    assert AutoAttack().attacks[2].targeted


def test_only_rows_that_withstood_go_on_and_a_liar_is_brought_back_and_judged():
    model, inputs = classes(torch.tensor([[1.0], [-1.0]])), torch.tensor([[0.05], [0.5], [3.0]])
    first, second, third = Noting(-0.1), Noting(-9.0), Noting(0.0)
    found = in_turn(
        [first, second, third],
        model,
        inputs,
        torch.zeros(3, dtype=torch.int64),
        Threat("linf", 1.0, OPEN),
        torch.Generator(),
    )
    assert [first.given, second.given, third.given] == [[3], [2], [1]]
    torch.testing.assert_close(found, torch.tensor([[-0.05], [-0.5], [2.0]]))


def test_it_leaves_no_more_rows_than_any_of_its_parts():
    weights, inputs = spread()
    model = classes(weights)
    targets = model(inputs).argmax(dim=1)
    whole = AutoAttack(steps=10, queries=50)
    left = [
        run_attack(
            attack,
            model,
            inputs,
            targets,
            threat=Threat("l2", 0.3, OPEN),
            generator=torch.Generator().manual_seed(0),
        ).still_correct
        for attack in (whole, *whole.attacks)
    ]
    assert all(not (left[0] & ~part).any() for part in left[1:])
