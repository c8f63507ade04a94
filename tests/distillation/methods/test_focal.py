import torch
from distillation.rows import STUDENT, TEACHER, batch, pairs
from hypothesis import given, settings

from stillhouse.distillation.methods.focal import Focal, focal_weights
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.models.outputs import Outputs


def test_golden_weights_by_hand():
    """The teacher decides 0, 2, 2: right of the first, wrong of the second, unknown of the
    third.
    """
    weights = focal_weights(TEACHER, torch.tensor([0, 1, -1]), alpha=0.5, beta=4.0)
    assert weights.tolist() == [4.5, 0.5, 0.5]


def test_the_loss_is_kd_weighed_by_row():
    found = Focal(alpha=1.0, beta=5.0, temperature=2.0)(
        Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([0, 1, 2]))
    )
    torch.testing.assert_close(
        found, torch.tensor([6.0, 1.0, 6.0]) * kd_loss(STUDENT, TEACHER, 2.0)
    )


def test_without_beta_it_is_kd():
    found = Focal(alpha=1.0, beta=0.0)(
        Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([0, 1, 2]))
    )
    torch.testing.assert_close(found, kd_loss(STUDENT, TEACHER))


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_blind_to_a_shift_and_follows_the_rows(logits):
    student, teacher = logits
    targets = torch.arange(len(student)) % student.shape[-1]
    found = Focal()(Outputs(student), Outputs(teacher), batch(targets))
    assert (found >= 0).all()
    torch.testing.assert_close(
        found, Focal()(Outputs(student + 5), Outputs(teacher), batch(targets)), atol=1e-9, rtol=1e-7
    )
    torch.testing.assert_close(
        found.flip(0),
        Focal()(Outputs(student.flip(0)), Outputs(teacher.flip(0)), batch(targets.flip(0))),
    )


def test_extreme_logits_of_two_classes_and_one_row_stay_finite():
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    Focal()(
        Outputs(student), Outputs(torch.tensor([[-1e4, 1e4]])), batch(torch.tensor([1]))
    ).sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
