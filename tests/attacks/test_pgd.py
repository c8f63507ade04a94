import pytest
import torch
from attacks.linear import OPEN, linear, rows_at
from torch import nn

from stillhouse.attacks.found import FOOLED_BY
from stillhouse.attacks.gradient import ascent, margin
from stillhouse.attacks.pgd import PGD, pgd
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat
from stillhouse.errors import SettingsError

DISTANCES = torch.tensor([0.05, -0.05, 0.09, 0.099, -0.099, 0.101, -0.101, 0.2, -3.0])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3)).eval()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_it_leaves_exactly_the_rows_outside_the_ball(norm):
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs, targets = rows_at(DISTANCES, weights, norm)
    found = run_attack(
        PGD(),
        linear(weights),
        inputs,
        targets,
        threat=Threat(norm, 0.1, OPEN),
        generator=generator(),
    )
    assert found.still_correct.tolist() == (DISTANCES.abs() > 0.1).tolist()


def test_inside_a_box_it_reaches_the_closed_form_worst_case():
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs = torch.rand(200, 4, generator=generator())
    model = linear(weights, bias=-1.5)
    targets = model(inputs).argmax(dim=1)
    toward = torch.where(targets[:, None] == 1, -weights.sign(), weights.sign())
    corner = (inputs + 0.15 * toward).clamp(0, 1)
    found = run_attack(
        PGD(),
        model,
        inputs,
        targets,
        threat=Threat("linf", 0.15, Space.box()),
        generator=generator(),
    )
    assert torch.equal(found.still_correct, model(corner).argmax(dim=1) == targets)
    assert 0 < int(found.still_correct.sum()) < 200


def test_a_saturated_model_is_attacked_all_the_same():
    weights = 1000 * torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs, targets = rows_at(torch.tensor([0.09, -0.09, 0.11]), weights, "linf")
    logits = linear(weights)(inputs)
    assert torch.equal(
        logits.softmax(1)[0], torch.tensor([0.0, 1.0])
    )  # float32 holds no gradient of the cross-entropy here
    found = run_attack(
        PGD(),
        linear(weights),
        inputs,
        targets,
        threat=Threat("linf", 0.1, OPEN),
        generator=generator(),
    )
    assert found.still_correct.tolist() == [False, False, True]


def test_the_direction_is_the_cross_entropys():
    model, inputs, targets = net(), torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1])
    _, direction = ascent(model, inputs, targets)
    moved = inputs.clone().requires_grad_(True)
    [exact] = torch.autograd.grad(
        nn.functional.cross_entropy(model(moved), targets, reduction="sum"), moved
    )
    torch.testing.assert_close(
        nn.functional.normalize(direction), nn.functional.normalize(exact), rtol=1e-4, atol=1e-5
    )


def without_active_set(model, inputs, targets, threat, generator, steps, restarts):
    best, lowest = inputs.clone(), margin(model(inputs), targets).detach()
    for _ in range(restarts):
        at = threat.random(inputs, generator)
        for step in range(steps + 1):
            logits, gradient = ascent(model, at, targets)
            better = (margin(logits, targets) < lowest) & (lowest > -FOOLED_BY)
            best[better], lowest[better] = at[better], margin(logits, targets)[better]
            at = (
                threat.project(
                    at + 2.5 * threat.epsilon / steps * threat.steepest(gradient, inputs), inputs
                )
                if step < steps
                else at
            )
    return best


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_active_set_changes_no_result(norm):
    model, inputs = net(), torch.rand(64, 6)
    targets = model(inputs).argmax(dim=1)
    threat = Threat(norm, 0.3, Space.box())
    mine = pgd(model, inputs, targets, threat, generator(), steps=10, restarts=3)
    plain = without_active_set(model, inputs, targets, threat, generator(), 10, 3)
    torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-4)
    still = model(mine).argmax(dim=1) == targets
    assert torch.equal(still, model(plain).argmax(dim=1) == targets)
    assert 0 < int(still.sum()) < 64


def test_fooled_rows_are_not_asked_again():
    class Counting(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.asked = inner, []

        def forward(self, inputs):
            self.asked.append(len(inputs))
            return self.inner(inputs)

    model = Counting(linear(torch.tensor([1.0, 1.0])))
    inputs, targets = rows_at(
        torch.tensor([0.001, 0.001, 0.001, 5.0]), torch.tensor([1.0, 1.0]), "linf"
    )
    pgd(model, inputs, targets, Threat("linf", 0.1, OPEN), generator(), steps=8)
    assert model.asked[0] == 4
    assert model.asked[-1] == 1


def test_more_restarts_never_find_less():
    model, inputs = net(1), torch.rand(64, 6)
    targets = model(inputs).argmax(dim=1)
    threat = Threat("l2", 0.25, Space.box())
    one = run_attack(PGD(steps=5), model, inputs, targets, threat=threat, generator=generator())
    five = run_attack(
        PGD(steps=5, restarts=5), model, inputs, targets, threat=threat, generator=generator()
    )
    assert not (five.still_correct & ~one.still_correct).any()


def test_settings_out_of_bounds_are_refused():
    from stillhouse import config

    assert config.build(PGD, {"steps": 5, "step_size": 0.1}, where="x").steps == 5
    for bad in ({"steps": 0}, {"restarts": 0}, {"step_size": 0.0}, {"step": 5}):
        with pytest.raises(SettingsError):
            config.build(PGD, bad, where="x")
