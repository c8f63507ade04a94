import pytest
import torch
from robustness.nets import Drawing, Loud, Rounded, blobs, net
from torch import nn

from stillhouse.attacks import Space
from stillhouse.robustness.case import Ball, make_cases
from stillhouse.robustness.masking import after, alarmed, examined, widest
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.suite import Suite, examine

BALL = Ball("linf", 0.1)


def subject(model, space=None):
    inputs, targets = blobs()
    return Subject(model, lambda x: model(x).detach(), inputs, targets, space or Space.box(), 0)


def looked(model, space=None):
    who = subject(model, space)
    return examined(BALL, who, who.right(who.inputs))


def test_an_honest_net_rings_nothing():
    found = looked(net())
    assert alarmed(found) == []
    assert {alarm.verdict for alarm in found} <= {"clear", "not applicable"}
    assert len(found) == 8


@pytest.mark.parametrize(
    ("mask", "rings"),
    [
        (Loud, {"saturated loss", "loss stands still"}),
        (Rounded, {"zero gradients", "loss stands still", "black box beats white box"}),
        (Drawing, {"draws"}),
    ],
)
def test_a_mask_rings_and_is_named(mask, rings):
    assert rings <= set(alarmed(looked(mask(net()))))


def textbook(model, inputs, targets):
    """PGD as it is written everywhere, on the cross-entropy that float32 has."""
    at = inputs.clone()
    for _ in range(20):
        at.requires_grad_(True)
        [slope] = torch.autograd.grad(nn.functional.cross_entropy(model(at), targets), at)
        at = (at.detach() + 0.02 * slope.sign()).clamp(inputs - 0.1, inputs + 0.1).clamp(0, 1)
    return float((model(at).argmax(1) == targets).float().mean())


@pytest.mark.parametrize("mask", [Loud, Rounded])
def test_a_masked_model_is_attacked_truly_all_the_same(mask):
    def worst(model):
        cases = make_cases([{"name": "pgd", "norm": "linf", "epsilon": 0.1}], "a")
        found = examine(subject(model), Suite(cases, {}, None), lambda *told: None)
        return found.metrics(), found

    (plain, _), (masked, found) = worst(net()), worst(mask(net()))
    fooled = textbook(mask(net()), *blobs())
    assert fooled > plain["robust/linf/accuracy"] + 0.2  # what the mask makes others believe
    assert masked["robust/linf/accuracy"] < plain["robust/linf/accuracy"] + 0.08
    assert plain["robust/masking/alarms"] == 0
    assert masked["robust/masking/alarms"] >= 1
    assert "masking_square_linf_0.1" in found.as_dict(0)["attacks"][-1]["label"]


def test_where_inputs_may_not_change_freely_an_unbounded_attack_says_nothing():
    one = torch.ones(2)
    space = Space(0 * one, one, one, one, torch.tensor([True, False]))
    by_name = {alarm.name: alarm for alarm in looked(net(), space)}
    assert by_name["unbounded attack fails"].verdict == "not applicable"
    assert by_name["flat in epsilon"].says == "some inputs may not change freely."


def test_what_follows_an_alarm_depends_on_it():
    assert after(looked(net()), BALL) == []
    names = [case.name for case in after(looked(Drawing(net())), BALL)]
    assert names == ["square", "eot"]


def test_the_largest_ball_of_the_first_norm_is_looked_at():
    told = [("patch", "patch", 0.5), ("pgd", "linf", 0.1), ("pgd", "l2", 9), ("fgsm", "linf", 0.3)]
    cases = make_cases([{"name": n, "norm": m, "epsilon": e} for n, m, e in told], "a")
    assert widest(cases) == Ball("linf", 0.3)
    assert widest(cases[:1]) is None
