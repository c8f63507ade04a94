import pytest
import torch
from distillation.classrooms import attacked, taught
from distillation.rows import STUDENT, TEACHER

from stillhouse.distillation.methods.adaad import Adaad, adaad_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.trades import spread
from stillhouse.errors import UsageError


def test_golden_value_by_hand():
    """Attacked: (1/2, 1/2) for a teacher of (3/4, 1/4), 0.130812 nats; clean: equal."""
    even, teacher = torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log()
    found = adaad_loss(even, teacher, even, even, alpha=0.5)
    torch.testing.assert_close(found, torch.tensor([0.5 * 0.13081204]))


def test_as_torchs_own_divergence_has_it_meaned_over_rows():
    hit, its = STUDENT, TEACHER
    wanted = 0.7 * torch.nn.functional.kl_div(
        hit.log_softmax(dim=1), its.softmax(dim=1), reduction="batchmean"
    ) + 0.3 * torch.nn.functional.kl_div(
        its.log_softmax(dim=1), hit.softmax(dim=1), reduction="batchmean"
    )
    torch.testing.assert_close(adaad_loss(hit, its, its, hit, alpha=0.7).mean(), wanted)


def test_both_models_move_in_the_search_and_the_teachers_live_answer_is_learned():
    found = attacked(Adaad(epsilon=0.5, steps=5))
    assert found.distance <= 0.5 * (1 + 1e-5)
    before, after = (
        spread(found.model(rows), found.teacher(rows)).mean()
        for rows in (found.batch.inputs, found.inputs)
    )
    assert after > before
    loss = found.loss()
    torch.testing.assert_close(
        loss, kd_loss(found.model(found.inputs), found.teacher(found.inputs), 1.0)
    )


def test_the_teacher_gets_no_gradient_and_keeps_its_mode():
    found = attacked(Adaad(epsilon=0.5, steps=2))
    found.loss().sum().backward()
    assert all(weight.grad is None for weight in found.teacher.parameters())
    assert not found.teacher.training
    assert all(weight.requires_grad for weight in found.teacher.parameters())


def test_a_black_box_is_refused_by_name():
    assert taught(Adaad(steps=1)).item() > 0
    with pytest.raises(UsageError, match="'adaad' needs gradients, which 'stored answers'"):
        taught(Adaad(steps=1), live=False)
