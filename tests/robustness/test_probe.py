from dataclasses import replace

import pytest
import torch
from torch import nn

from stillhouse.attacks.space import Space
from stillhouse.robustness.case import Ball
from stillhouse.robustness.probe import LOOK, Bar, probe
from stillhouse.robustness.subject import Subject


def quiet(*told):
    """Tell nobody."""


class Sharp(nn.Module):
    """Right about every clean row, and wrong as soon as anything moves."""

    def forward(self, inputs):
        return torch.stack([inputs.sum(dim=1) - 3, 3 - inputs.sum(dim=1)], dim=1)


@pytest.fixture
def subject():
    inputs = torch.rand(400, 6, generator=torch.Generator().manual_seed(0))
    model = Sharp()
    return Subject(model, model, inputs, model(inputs).argmax(dim=1), Space.box(), 0)


def bar(most, bound=0.5):
    return Bar("linf", bound, most, 0.01)


def test_a_plain_model_is_given_up_after_the_first_look(subject):
    found = probe(bar(120), Ball("linf", 0.3), subject, quiet)
    assert found.fails
    assert len(found.order) == len(found.still) == LOOK
    moved = (found.inputs - subject.inputs[found.order]).abs().amax(dim=1)
    assert float(moved.max()) <= 0.3 + 1e-6
    assert torch.equal(found.still, subject.only(found.order).right(found.inputs))


def test_a_model_that_stands_is_looked_at_to_the_end_and_counts_as_an_attack(subject):
    found = probe(bar(120), Ball("linf", 1e-6), subject, quiet)
    assert not found.fails
    assert sorted(found.order.tolist()) == list(range(400))
    result = found.result()
    assert torch.equal(subject.right(result.inputs), result.still)
    assert result.case.label == "probe_linf_1e-06"
    assert found.as_dict()["right"] == int(result.still.sum())


def test_the_end_depends_on_seed_and_data_alone(subject):
    first = probe(bar(220), Ball("linf", 0.08), subject, quiet)
    again = probe(bar(220), Ball("linf", 0.08), subject, quiet)
    other = probe(bar(220), Ball("linf", 0.08), replace(subject, seed=1), quiet)
    assert torch.equal(first.order, again.order)
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.order[:LOOK], other.order[:LOOK])


def test_rows_that_were_wrong_unattacked_are_counted_and_left_alone(subject):
    turned = replace(subject, targets=1 - subject.targets)
    found = probe(bar(120), Ball("linf", 0.3), turned, quiet)
    assert found.fails
    assert torch.equal(found.inputs, subject.inputs[found.order])
