import pytest
import torch
from attacks.linear import OPEN, linear
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stillhouse import config, plugins
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import AttackFailed, run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat

THREAT = Threat("linf", 0.2, Space.box())
SMALL = {"steps": 5, "restarts": 2, "queries": 20, "goals": 2, "samples": 8}


def small(name):
    """The attack of that name, as cheap as its settings allow."""
    make = plugins.load("attacks", name)
    return make(
        **{setting: value for setting, value in SMALL.items() if setting in config.parameters(make)}
    )


ATTACKS = {name: small(name) for name in sorted(plugins.available("attacks"))}


def net(columns=6, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(columns, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))


def attacked(attack, inputs, targets, *, threat=THREAT, model=None, seed=0, batch=256):
    model = model or net()
    return run_attack(
        attack,
        model,
        inputs,
        targets,
        threat=threat,
        generator=torch.Generator().manual_seed(seed),
        batch=batch,
        surrogate=net(inputs.shape[1], 9),
    )


def data(rows=40):
    inputs = torch.rand(rows, 6, generator=torch.Generator().manual_seed(1))
    return inputs, net().eval()(inputs).argmax(dim=1)


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["linf", "l2"]), st.floats(0.001, 3), st.integers(0, 1000))
def test_every_attack_stays_inside_the_threat(name, norm, epsilon, seed):
    inputs, targets = data()
    threat = Threat(norm, epsilon, Space.box())
    assert threat.allows(
        attacked(ATTACKS[name], inputs, targets, threat=threat, seed=seed).inputs, inputs
    ).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_generator_gives_the_same_result(name):
    first, again = (attacked(ATTACKS[name], *data()) for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.still_correct, again.still_correct)


@pytest.mark.parametrize("name", ATTACKS)
def test_model_gradients_and_global_generator_are_left_as_they_were(name):
    model = net().train()
    model[0].eval()
    model[3].weight.requires_grad_(False)
    model(torch.rand(2, 6)).sum().backward()
    weights, gradient = model[0].weight.clone(), model[0].weight.grad.clone()
    before = torch.get_rng_state()
    attacked(ATTACKS[name], *data(), model=model)
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in model] == [False, True, True, True]
    assert [p.requires_grad for p in model.parameters()] == [True, True, False, True]
    assert torch.equal(model[0].weight, weights)
    assert torch.equal(model[0].weight.grad, gradient)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_work(name, rows):
    inputs, targets = data(rows)
    found = attacked(ATTACKS[name], inputs, targets)
    assert found.inputs.shape == (rows, 6)
    assert found.still_correct.shape == (rows,)


def test_rows_that_are_wrong_already_are_not_attacked_and_not_correct():
    inputs, targets = data()
    targets[:10] = (targets[:10] + 1) % 3
    found = attacked(PGD(), inputs, targets)
    assert torch.equal(found.inputs[:10], inputs[:10])
    assert not found.still_correct[:10].any()
    assert (found.inputs[10:] != inputs[10:]).any()


@pytest.mark.parametrize("name", ATTACKS)
def test_missing_and_fixed_cells_of_a_table_are_never_touched(name):
    class Filled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net(4)

        def forward(self, inputs):
            return self.inner((torch.where(inputs.isnan(), 50.0, inputs) - 50) / 20)

    inputs = 50 + 20 * torch.randn(60, 4, generator=torch.Generator().manual_seed(2))
    inputs[::3, 1] = torch.nan
    targets = Filled().eval()(inputs).argmax(dim=1)
    scale = torch.full((4,), 20.0)
    space = Space(
        torch.full((4,), -50.0),
        torch.full((4,), 150.0),
        scale,
        scale,
        torch.tensor([True, True, False, True]),
    )
    for norm in ("linf", "l2"):
        threat = Threat(norm, 1.0, space)
        with torch.random.fork_rng(devices=[]):
            found = run_attack(
                ATTACKS[name],
                Filled(),
                inputs,
                targets,
                threat=threat,
                generator=torch.Generator().manual_seed(0),
                surrogate=Filled(),
            )
        assert torch.equal(found.inputs.isnan(), inputs.isnan())
        assert torch.equal(found.inputs[:, 2], inputs[:, 2])
        assert threat.allows(found.inputs, inputs).all()
        assert found.still_correct.sum() < 60
        assert (found.inputs - inputs).abs().nan_to_num().amax() > 1


class Reckless(Attack):
    def perturb(self, model, inputs, targets, *, threat, generator):
        return inputs + 5


class Broken(Attack):
    def perturb(self, model, inputs, targets, *, threat, generator):
        return inputs / 0


class Short(Attack):
    def perturb(self, model, inputs, targets, *, threat, generator):
        return inputs[1:]


class Liar(Attack):
    def perturb(self, model, inputs, targets, *, threat, generator):
        return inputs


class Noisy(Attack):
    def perturb(self, model, inputs, targets, *, threat, generator):
        torch.rand(7)
        return inputs


def test_rows_that_leave_the_threat_are_brought_back_before_they_are_judged():
    inputs, targets = data()
    found = attacked(Reckless(), inputs, targets)
    torch.testing.assert_close(found.inputs, (inputs + 0.2).clamp(max=1))


@pytest.mark.parametrize("attack", [Broken(), Short()])
def test_an_attack_that_returns_what_cannot_be_judged_is_named(attack):
    with pytest.raises(AttackFailed, match=type(attack).__name__):
        attacked(attack, *data())


def test_an_attack_that_finds_nothing_leaves_every_row_correct():
    assert attacked(Liar(), *data()).still_correct.all()


def test_an_attack_that_draws_from_the_global_generator_does_not_move_it():
    before = torch.get_rng_state()
    attacked(Noisy(), *data())
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_made_in_inference_mode_can_be_attacked():
    with torch.inference_mode():
        inputs, targets = data()
    assert attacked(PGD(), inputs, targets).inputs.shape == inputs.shape


def test_small_batches_judge_every_row():
    inputs, targets = data(7)
    model = linear(torch.tensor([1.0] * 6))
    targets = model(inputs).argmax(dim=1)
    found = attacked(
        FGSM(), inputs, targets, threat=Threat("linf", 2.0, OPEN), model=model, batch=3
    )
    assert not found.still_correct.any()
