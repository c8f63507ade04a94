import math

import torch
from distillation.rows import STUDENT, TARGETS, TEACHER, batch, pairs
from hypothesis import given, settings

from stillhouse.distillation.methods.multi_label import MultiLabel, log_odds, multi_label_loss
from stillhouse.models.outputs import Outputs


def test_golden_value_by_hand():
    """Teacher 3/4 and 1/2, student 1/2 and 1/2: 3/4 ln 3/2 + 1/4 ln 1/2."""
    teacher = torch.tensor([[math.log(3), 0.0]])
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    torch.testing.assert_close(multi_label_loss(torch.zeros(1, 2), teacher), torch.tensor([wanted]))


def test_it_is_torchs_divergence_of_every_class_and_its_complement():
    q, p = STUDENT.double().sigmoid(), TEACHER.double().sigmoid()
    pair = [torch.stack([share, 1 - share], dim=-1) for share in (q, p)]
    wanted = torch.nn.functional.kl_div(pair[0].log(), pair[1], reduction="none").sum(dim=(1, 2))
    torch.testing.assert_close(multi_label_loss(STUDENT.double(), TEACHER.double()), wanted)


def test_log_odds_are_those_of_one_class_against_the_others():
    p = TEACHER.double().softmax(dim=1)
    torch.testing.assert_close(log_odds(TEACHER.double() + 4), (p / (1 - p)).log())


def test_two_classes_tell_the_same_twice():
    logits = torch.tensor([[2.0, 0.5]])
    torch.testing.assert_close(log_odds(logits), torch.tensor([[1.5, -1.5]]))


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_and_nothing_where_both_are_equal(logits):
    student, teacher = logits
    assert (multi_label_loss(student, teacher) >= 0).all()
    assert multi_label_loss(teacher, teacher).abs().max() < 1e-9


def test_the_method_is_blind_to_a_shift_and_extreme_logits_stay_finite():
    method = MultiLabel(temperature=2.0)
    found = method(Outputs(STUDENT + 5), Outputs(TEACHER - 3), batch(TARGETS))
    wanted = multi_label_loss(log_odds(STUDENT), log_odds(TEACHER), 2.0)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    told = Outputs(torch.tensor([[-1e4, 1e4, 0.0]]))
    method(Outputs(student), told, batch(TARGETS[:1])).sum().backward()
    assert torch.isfinite(student.grad).all()
