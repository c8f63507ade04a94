import math

import pytest
import torch
from distillation.classrooms import attacked, taught
from distillation.rows import TEACHER

from stillhouse.distillation.methods.igdm import igdm_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.saad import SAAD, saad_weights
from stillhouse.errors import UsageError


def test_golden_weights_by_hand():
    """Entropies ln 2, 0.562335 and 0 (nearly): five times their distance to the smallest, and one
    minus those over the largest.
    """
    logits = torch.tensor([[1.0, 1.0], [3.0, 1.0], [1.0, 0.0]]).clamp_min(1e-30).log()
    hard, calm = saad_weights(logits)
    middle = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    torch.testing.assert_close(hard, torch.tensor([5 * math.log(2), 5 * middle, 0.0]))
    torch.testing.assert_close(calm, torch.tensor([0.0, 1 - middle / math.log(2), 1.0]))


def test_one_row_and_equal_rows_weigh_nothing_when_attacked_and_all_when_clean():
    for logits in (TEACHER[:1], TEACHER[:1].expand(4, -1)):
        hard, calm = saad_weights(logits)
        assert hard.tolist() == [0.0] * len(logits)
        assert calm.tolist() == [1.0] * len(logits)


def test_the_loss_is_the_papers_weighted_sum():
    found = attacked(SAAD(alpha=2.0, clean=0.5, epsilon=0.05, steps=2), step=1, steps=4)
    here, rows = found.inputs, found.batch.inputs
    opposite = torch.minimum(torch.maximum(2 * rows - here, found.low), found.high)
    mine, its = found.model(here), found.teacher(here)
    change = igdm_loss(mine, found.model(opposite), its, found.teacher(opposite))
    hard, calm = saad_weights(its)
    clean = kd_loss(found.model(rows), found.teacher(rows), 1.0)
    wanted = hard * (kd_loss(mine, its, 1.0) + 2.0 * 0.5 * change) + 0.5 * calm * clean
    torch.testing.assert_close(found.loss(), wanted.mean())


def test_following_the_teacher_finds_other_rows():
    ends = [attacked(SAAD(follow=f, epsilon=0.5, steps=5)).inputs for f in (0.0, 1.0)]
    assert not torch.equal(*ends)


def test_a_black_box_and_a_selector_are_refused_by_name():
    assert taught(SAAD(steps=1)).item() >= 0
    with pytest.raises(UsageError, match="'saad' needs gradients, which 'stored answers'"):
        taught(SAAD(steps=1), live=False)
    assert not SAAD.per_sample
