import pytest
import torch
from distillation.classrooms import attacked, taught
from distillation.rows import STUDENT, TEACHER

from stillhouse.distillation.methods.igdm import IGDM, igdm_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.errors import UsageError


def test_golden_value_by_hand():
    """The teacher's logits change by (ln 3, 0), probabilities 3/4 and 1/4, the student's by 0."""
    there = torch.tensor([[3.0, 1.0]]).log()
    found = igdm_loss(torch.ones(1, 2), torch.ones(1, 2), there, torch.zeros(1, 2))
    torch.testing.assert_close(found, torch.tensor([0.13081204]))


def test_as_the_authors_have_it_meaned_over_rows():
    ahead, behind, its_ahead, its_behind = STUDENT, STUDENT.flip(1), TEACHER, TEACHER.flip(0)
    wanted = torch.nn.functional.kl_div(
        (ahead - behind).log_softmax(dim=1),
        (its_ahead - its_behind).softmax(dim=1),
        reduction="batchmean",
    )
    torch.testing.assert_close(igdm_loss(ahead, behind, its_ahead, its_behind).mean(), wanted)


@pytest.mark.parametrize(("step", "steps", "share"), [(0, 4, 0.25), (3, 4, 1.0), (0, 0, 1.0)])
def test_the_weight_rises_evenly_over_the_training(step: int, steps: int, share: float):
    found = attacked(IGDM(alpha=2.0, epsilon=0.1, steps=2), step=step, steps=steps)
    here, opposite = found.inputs, 2 * found.batch.inputs - found.inputs
    change = igdm_loss(
        found.model(here), found.model(opposite), found.teacher(here), found.teacher(opposite)
    )
    wanted = kd_loss(found.model(here), found.teacher(here), 1.0) + 2.0 * share * change
    inside = ((opposite >= found.low) & (opposite <= found.high)).all(dim=1)
    assert inside.any()
    torch.testing.assert_close(found.loss()[inside], wanted[inside])


def test_a_black_box_is_refused_by_name():
    assert taught(IGDM(steps=1)).item() > 0
    with pytest.raises(UsageError, match="'igdm' needs gradients, which 'stored answers'"):
        taught(IGDM(steps=1), live=False)
