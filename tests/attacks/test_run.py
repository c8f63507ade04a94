import pytest
import torch
from attacks.linear import OPEN, linear
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stillhouse import config, plugins
from stillhouse.attacks import Attack, Budget, Space, Threat
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import AttackFailed, run_attack
from stillhouse.errors import DataError, UsageError

SMALL = {
    "steps": 5,
    "restarts": 2,
    "queries": 20,
    "goals": 2,
    "samples": 8,
    "draws": 2,
    "searches": 2,
    "passes": 2,
    "version": "standard",
}
EPSILON = {
    "linf": 0.2,
    "l2": 0.4,
    "l1": 0.8,
    "l0": 3,
    "patch": 0.5,
    "geometry": 0.5,
    "category": 2,
    "channels": 1,
    "drift": 1.0,
    "skew": 0.4,
}
THREAT = Threat("linf", EPSILON["linf"])


def small(name):
    """The attack of that name, as cheap as its settings allow."""
    make = plugins.load("attacks", name)
    return make(
        **{setting: value for setting, value in SMALL.items() if setting in config.parameters(make)}
    )


ATTACKS = {name: small(name) for name in sorted(plugins.available("attacks"))}
NORMS = [(name, norm) for name in ATTACKS for norm in sorted(ATTACKS[name].norms)]


def net(columns=6, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(columns, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))


def seeing(seed=0):
    """A net of 1 x 4 x 4 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)
        )


def timed(seed=0):
    """A net of series of 5 times and 2 channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv1d(5, 8, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)
        )


def prey(name, norm, rows=40):
    """The model, surrogate, rows and threat that suit an attack and a norm."""
    if norm == "category":
        inputs = torch.rand(rows, 6, generator=torch.Generator().manual_seed(1))
        inputs[:, 2:] = nn.functional.one_hot(torch.arange(rows) % 4, 4).float()
        space = Space.box().one_hot([[2, 3, 4, 5]], columns=6)
        model = net()
        return model, net(6, 9), inputs, model.eval()(inputs).argmax(1), Threat(norm, 1, space)
    if norm in ("channels", "drift", "skew"):
        inputs = torch.randn(rows, 5, 2, generator=torch.Generator().manual_seed(1))
        model, space = timed(), Space.box(-9, 9)
        threat = Threat(norm, EPSILON[norm], space)
        return model, timed(9), inputs, model.eval()(inputs).argmax(1), threat
    if norm not in ("patch", "geometry"):
        inputs, targets = data(rows)
        return net(), net(6, 9), inputs, targets, Threat(norm, EPSILON[norm])
    inputs = torch.rand(rows, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    model = seeing()
    return model, seeing(9), inputs, model.eval()(inputs).argmax(dim=1), Threat(norm, EPSILON[norm])


def hunted(name, norm, rows=40, model=None, seed=0):
    own, other, inputs, targets, threat = prey(name, norm, rows)
    found = run_attack(
        ATTACKS[name],
        model or own,
        inputs,
        targets,
        threat=threat,
        generator=torch.Generator().manual_seed(seed),
        surrogate=other,
    )
    return found, inputs, targets, threat


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


@pytest.mark.parametrize("name", [name for name in ATTACKS if "linf" in ATTACKS[name].norms])
@settings(max_examples=8, deadline=None)
@given(st.data(), st.floats(0.001, 3), st.integers(0, 1000))
def test_every_attack_stays_inside_the_threat(name, drawn, epsilon, seed):
    inputs, targets = data()
    norm = drawn.draw(st.sampled_from(sorted(ATTACKS[name].norms)))
    threat = Threat(norm, epsilon)
    found = attacked(ATTACKS[name], inputs, targets, threat=threat, seed=seed)
    assert threat.allows(found.inputs, inputs).all()


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_a_result_says_what_the_model_says_and_how_far_the_rows_are(name, norm):
    model, _, inputs, targets, threat = prey(name, norm)
    found, *_ = hunted(name, norm)
    assert threat.allows(found.inputs, inputs).all()
    with torch.no_grad():
        assert torch.equal(found.success, model.eval()(found.inputs).argmax(1) != targets)
    torch.testing.assert_close(found.norm, threat.size(found.inputs, inputs))
    assert found.clean.all()
    assert found.queries > 0
    assert found.complete
    assert found.success.any() or name in ("fgsm", "transfer")


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_the_same_generator_gives_the_same_result(name, norm):
    first, again = hunted(name, norm)[0], hunted(name, norm)[0]
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.success, again.success)
    assert first.queries == again.queries


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_everything_of_the_callers_is_left_as_it_was(name, norm):
    model, _, inputs, targets, _ = prey(name, norm)
    model.train()
    model[0].eval()
    last = model[-1]
    last.weight.requires_grad_(False)
    seen = []
    handle = model[0].register_forward_hook(lambda *told: seen.append(1))
    model(inputs[:2]).sum().backward()
    weights, gradient = model[0].weight.clone(), model[0].weight.grad.clone()
    rows, goals, state = inputs.clone(), targets.clone(), torch.get_rng_state()
    hunted(name, norm, model=model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model] == [False, *[True] * (len(model) - 1)]
    assert not last.weight.requires_grad
    assert all(p.requires_grad for p in model.parameters() if p is not last.weight)
    assert torch.equal(model[0].weight, weights)
    assert torch.equal(model[0].weight.grad, gradient)
    assert torch.equal(inputs, rows)
    assert torch.equal(targets, goals)
    assert inputs.grad is None
    assert not inputs.requires_grad
    assert len(seen) > 1  # the caller's hooks saw every question
    assert handle.id in model[0]._forward_hooks


@pytest.mark.parametrize(("name", "norm"), NORMS)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_work(name, norm, rows):
    found, inputs, *_ = hunted(name, norm, rows)
    assert found.inputs.shape == inputs.shape
    assert found.success.shape == found.norm.shape == (rows,)


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_rows_of_one_class_work(name, norm):
    model, other, inputs, targets, threat = prey(name, norm)
    only = targets == targets.mode().values
    found = run_attack(
        ATTACKS[name],
        model,
        inputs[only],
        targets[only],
        threat=threat,
        generator=torch.Generator(),
        surrogate=other,
    )
    assert len(found.success) == int(only.sum()) > 1


def test_rows_that_are_wrong_already_are_not_attacked_and_not_correct():
    inputs, targets = data()
    targets[:10] = (targets[:10] + 1) % 3
    found = attacked(PGD(), inputs, targets)
    assert torch.equal(found.inputs[:10], inputs[:10])
    assert not found.still_correct[:10].any()
    assert (found.inputs[10:] != inputs[10:]).any()


@pytest.mark.parametrize("name", [name for name, norm in NORMS if norm in ("l2", "l0")])
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
    for norm in sorted({"linf", "l2", "l0"} & ATTACKS[name].norms):
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
        assert found.success.any()
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


def test_an_attack_that_draws_from_the_global_generator_gives_the_same_rows_each_time():
    class Wild(Attack):
        def perturb(self, model, inputs, targets, *, threat, generator):
            return inputs + torch.rand_like(inputs) / 10

    inputs, targets = data()
    first, second = (attacked(Wild(), inputs, targets).inputs for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, inputs)


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


def test_a_budget_ends_the_search_with_the_best_so_far():
    inputs, targets = data()
    whole = PGD(steps=200)(net(), inputs, targets, THREAT)
    some = PGD(steps=200)(net(), inputs, targets, THREAT, budget=Budget(queries=900))
    assert whole.complete
    assert not some.complete
    assert some.queries < 1200 < whole.queries
    assert 0 < int(some.success.sum()) <= int(whole.success.sum())
    none = PGD()(net(), inputs, targets, THREAT, budget=Budget(seconds=0.0))
    assert not none.success.any()
    assert "stopped by its budget" in str(none)


def test_an_attack_is_asked_for_as_foolbox_does_and_says_what_it_found():
    inputs, targets = data()
    targets[:4] = (targets[:4] + 1) % 3
    found = PGD()(net(), inputs, targets, THREAT)
    assert found.success[:4].all()
    assert found.clean.sum() == 36
    low, share, high = found.robust_accuracy
    assert low < share < high
    assert share == float(found.still_correct.double().mean())
    assert str(found).startswith(
        f"robust {share:.1%} [{low:.1%}, {high:.1%}] of 40 rows under linf"
    )


class Drawing(nn.Module):
    """Right about a row in two passes of three."""

    def forward(self, inputs):
        lucky = torch.rand(len(inputs)) < 2 / 3
        return nn.functional.one_hot(torch.where(lucky, 0, 1), 2).float() + 0 * inputs[:, :2]


def test_a_model_that_draws_is_judged_by_votes():
    inputs, targets = data()
    found = FGSM()(Drawing(), inputs, torch.zeros(40, dtype=torch.int64), THREAT)
    assert found.votes == 20
    assert found.clean.float().mean() > 0.9
    assert FGSM()(net(), inputs, targets, THREAT).votes == 1


GOOD = {
    "epsilon": 0.1,
    "rows": torch.linspace(0.1, 0.9, 30).reshape(5, 6),  # Silent calls each of them class 2
    "targets": torch.zeros(5, dtype=torch.int64),
}


class Silent(nn.Module):
    def forward(self, inputs):
        return inputs.detach()[:, :3]


class Wrapped(nn.Module):
    def forward(self, inputs):
        return {"logits": inputs[:, :3]}


class Lost(nn.Module):
    def forward(self, inputs):
        return inputs[:, :3] / 0 * 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 0.0}, "above 0"),
        ({"epsilon": -0.1}, "above 0"),
        ({"epsilon": float("nan")}, "above 0"),
        ({"epsilon": 8.0}, r"8/255 is 0\.03137"),
        ({"rows": GOOD["rows"] * 255}, "Divide pixels of 0..255 by 255"),
        ({"rows": GOOD["rows"] - 0.5}, "outside the bounds"),
        (
            {"targets": GOOD["targets"] + 3},
            "row 0 has the target 3, and the model knows the classes 0 to 2",
        ),
        ({"targets": GOOD["targets"] - 1}, "row 0 has the target -1"),
        ({"targets": GOOD["targets"][:3]}, "5 rows and 3 targets"),
        ({"model": Silent()}, "black box"),
        ({"model": Lost()}, "not a number"),
        ({"norm": "l0", "epsilon": 1}, "takes l1, l2, linf, not l0"),
        ({"norm": "l0", "epsilon": 0.5}, "l0 counts, and 0.5 is no whole number"),
        ({"targets": GOOD["targets"].float()}, r"not torch\.float32 \[5\]"),
        ({"targets": nn.functional.one_hot(GOOD["targets"], 3)}, r"codes of classes \[N\], not"),
        ({"targets": [0] * 5}, "tensors, not a list"),
        ({"rows": GOOD["rows"].numpy()}, "tensors, not a ndarray"),
        ({"model": lambda inputs: inputs}, r"is a function, not a torch\.nn\.Module"),
        ({"model": Wrapped()}, "answers with a dict, not with a tensor"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, said):
    def asked(epsilon, rows, targets, norm="linf", model=None):
        return PGD()(model or net(), rows, targets, Threat(norm, epsilon))

    assert len(asked(**GOOD).success) == 5
    assert len(asked(**{**GOOD, "targets": GOOD["targets"].int()}).success) == 5
    with pytest.raises((UsageError, DataError), match=said):
        asked(**{**GOOD, **change})


def test_a_black_box_is_attacked_by_who_only_asks():
    from stillhouse.attacks.square import Square

    inputs = torch.rand(30, 6, generator=torch.Generator().manual_seed(1))
    found = Square(queries=50)(Silent(), inputs, Silent()(inputs).argmax(1), THREAT)
    assert found.success.any()


@pytest.mark.parametrize(
    ("joins", "rows", "sizes"),
    [(True, 17, [8, 9]), (True, 18, [8, 8, 2]), (True, 1, [1]), (False, 17, [8, 8, 1])],
)
def test_a_few_rows_that_are_left_join_the_last_batch_of_an_attack_that_wants_it(
    joins, rows, sizes
):
    seen = []

    class Recording(Attack):
        joins_few = joins

        def perturb(self, model, inputs, targets, *, threat, generator):
            seen.append(len(inputs))
            return inputs

    inputs, targets = data(rows)
    assert attacked(Recording(), inputs, targets, batch=8).still_correct.all()
    assert seen == sizes
