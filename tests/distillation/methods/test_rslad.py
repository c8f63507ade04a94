import math

import pytest
import torch
from distillation.classrooms import attacked, taught
from distillation.rows import STUDENT, TEACHER

from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.rslad import RSLAD, rslad_loss
from stillhouse.errors import UsageError


def test_golden_value_by_hand():
    """Teacher (3/4, 1/4), attacked (1/2, 1/2), clean as the teacher: 5/6 of the divergence."""
    teacher = torch.tensor([[3.0, 1.0]]).log()
    wanted = 5 / 6 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    found = rslad_loss(torch.zeros(1, 2), teacher, teacher)
    torch.testing.assert_close(found, torch.tensor([wanted]))


def test_the_authors_mean_over_rows_and_classes_is_ours_divided_by_the_classes():
    """Theirs adds 1e-5 inside a logarithm of the teacher alone."""
    hit, clean, teacher = STUDENT.double(), (STUDENT.flip(1)).double(), TEACHER.double()

    def theirs(logits: torch.Tensor) -> torch.Tensor:
        p = teacher.softmax(dim=1)
        return (-logits.log_softmax(dim=1) * p + (p + 1e-5).log() * p).mean()

    wanted = 5 / 6 * theirs(hit) + 1 / 6 * theirs(clean)
    found = rslad_loss(hit, clean, teacher).mean() / 3
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_the_search_leads_away_from_the_stored_answers_and_no_label_is_looked_at():
    found = attacked(RSLAD(epsilon=0.5, steps=5))
    assert found.distance <= 0.5 * (1 + 1e-5)
    told = found.method.classroom.stored(found.batch)
    before, after = (
        kd_loss(found.model(rows), told, 1.0).mean() for rows in (found.batch.inputs, found.inputs)
    )
    assert after > before
    blind = attacked(RSLAD(epsilon=0.5, steps=5), labelled=False)
    assert torch.equal(blind.inputs, found.inputs)


def test_stored_answers_are_enough_and_none_are_refused():
    assert taught(RSLAD(steps=2), live=False).item() > 0
    with pytest.raises(UsageError, match="'rslad' needs logits, which 'no teacher' does not give"):
        taught(RSLAD(steps=2), live=False, answers=False)
