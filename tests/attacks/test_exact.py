"""Strong attacks against closed forms: the same demands for each of them."""

import pytest
import torch
from attacks.linear import OPEN, classes, linear, rows_at, spread, withstands
from robustness.nets import Rounded
from torch import nn

from stillhouse import config, plugins
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat

QUICK = {"steps": 30, "queries": 500, "samples": 2, "draws": 2, "passes": 3}
EXACT = ["pgd", "apgd_ce", "apgd_dlr", "apgd_targeted", "deepfool", "fab", "autoattack", "cascade"]
BLIND = ["square", "autoattack", "cascade"]
DISTANCES = torch.tensor([0.05, -0.05, 0.09, 0.097, -0.097, 0.101, -0.101, 0.2, -3.0])


def made(name):
    make = plugins.load("attacks", name)
    return make(**{key: value for key, value in QUICK.items() if key in config.parameters(make)})


def still(name, model, inputs, targets, norm, epsilon):
    return run_attack(
        made(name),
        model,
        inputs,
        targets,
        threat=Threat(norm, epsilon, OPEN),
        generator=torch.Generator().manual_seed(0),
    ).still_correct


def pairs(names):
    """Each of the attacks with each of its norms."""
    return [
        (name, norm)
        for name in names
        for norm in ("linf", "l2", "l1")
        if norm in plugins.load("attacks", name).norms
    ]


# random search moves windows: in four columns it cannot put all of l1's ball into one of them
@pytest.mark.parametrize(
    ("name", "norm"), [*pairs([*EXACT, "cw"]), ("square", "linf"), ("square", "l2")]
)
def test_of_two_classes_exactly_the_rows_outside_the_ball_are_left(name, norm):
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs, targets = rows_at(
        DISTANCES if name != "square" else DISTANCES[[0, 1, 5, 6, 7, 8]],
        weights,
        norm,
    )
    left = still(name, linear(weights), inputs, targets, norm, 0.1)
    assert torch.equal(left, withstands(torch.stack([torch.zeros(4), weights]), inputs, 0.1, norm))
    assert 0 < int(left.sum()) < len(left)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["apgd_targeted", "deepfool", "fab", "autoattack"])
def test_of_five_classes_exactly_the_rows_outside_the_ball_are_left(name, norm):
    weights, inputs = spread()
    model = classes(weights)
    expected = withstands(weights, inputs, 0.3, norm)
    assert torch.equal(still(name, model, inputs, model(inputs).argmax(dim=1), norm, 0.3), expected)
    assert 0 < int(expected.sum()) < len(expected)


@pytest.mark.parametrize("name", sorted(set(plugins.available("attacks")) - {"transfer"}))
def test_no_attack_fools_a_row_that_cannot_be_fooled(name):
    weights, inputs = spread()
    model = classes(weights)
    for norm in sorted({"linf", "l2", "l1"} & set(plugins.load("attacks", name).norms)):
        sure = withstands(weights, inputs, 0.3, norm)
        assert still(name, model, inputs, model(inputs).argmax(dim=1), norm, 0.3)[sure].all()


def naive_pgd(model, inputs, targets, epsilon):
    """Textbook PGD on the cross-entropy as float32 has it."""
    at = inputs.clone()
    for _ in range(30):
        moved = at.clone().requires_grad_(True)
        [gradient] = torch.autograd.grad(
            nn.functional.cross_entropy(model(moved), targets, reduction="sum"), moved
        )
        at = (at + epsilon / 10 * gradient.sign()).clamp(min=inputs - epsilon, max=inputs + epsilon)
    return model(at).argmax(dim=1) == targets


def test_a_model_that_multiplies_its_logits_hides_from_textbook_pgd_and_from_none_of_ours():
    weights, inputs = spread()
    loud = classes(weights, scale=1000)
    targets = loud(inputs).argmax(dim=1)
    expected = withstands(weights, inputs, 0.3, "linf")
    seen = naive_pgd(loud, inputs, targets, 0.3)
    assert int(seen.sum()) > 2 * int(expected.sum())  # the mask works on whoever falls for it
    for name in ("pgd", "apgd_ce", "apgd_dlr"):
        assert int(
            (still(name, loud, inputs, targets, "linf", 0.3) != expected).sum()
        ) <= 0.05 * len(inputs), name
    for name in ("apgd_targeted", "fab", "deepfool"):
        assert torch.equal(still(name, loud, inputs, targets, "linf", 0.3), expected), name


def test_the_size_of_the_logits_changes_nothing():
    weights, inputs = spread()
    for name in ("apgd_ce", "apgd_dlr", "square"):
        found = [
            still(
                name,
                classes(weights, scale),
                inputs,
                classes(weights)(inputs).argmax(dim=1),
                "linf",
                0.3,
            )
            for scale in (1.0, 256.0)
        ]
        assert int((found[0] != found[1]).sum()) <= (2 if name == "apgd_ce" else 1), name


def masked(norm):
    """A model whose gradient is 0, and rows: four that lie inside the ball, further in than chance
    goes, and two outside.
    """
    weights = torch.randn(64, generator=torch.Generator().manual_seed(1))
    inputs, targets = rows_at(torch.tensor([0.25, -0.25, 0.3, -0.3, 1.1, -1.1]), weights, norm)
    return Rounded(linear(weights), steps=64), inputs, targets, norm, 0.5 if norm == "linf" else 1.0


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "name", ["fgsm", "mi_fgsm", "pgd", "apgd_ce", "apgd_dlr", "apgd_targeted", "deepfool", "fab"]
)
def test_a_model_behind_a_rounding_layer_stops_every_gradient(name, norm):
    assert still(name, *masked(norm)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", BLIND)
def test_a_model_behind_a_rounding_layer_falls_to_random_search(name, norm):
    assert still(name, *masked(norm)).tolist() == [False] * 4 + [True] * 2
