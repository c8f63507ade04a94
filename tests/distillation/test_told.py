"""Losses in anybody's loop: a wrong shape must not be stretched into a loss of something else."""

import pytest
import torch
from torch import Tensor

from stillhouse.distillation.methods.born_again import born_again_loss
from stillhouse.distillation.methods.ce import ce_loss
from stillhouse.distillation.methods.dist import dist_loss
from stillhouse.distillation.methods.dkd import dkd_loss
from stillhouse.distillation.methods.ema_teacher import ema_teacher_loss
from stillhouse.distillation.methods.embedding import embedding_loss
from stillhouse.distillation.methods.fitnet import fitnet_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.match import match_loss
from stillhouse.distillation.methods.multi_label import multi_label_loss
from stillhouse.distillation.methods.reviewkd import hcl_loss
from stillhouse.distillation.methods.rkd import angle_loss, distance_loss
from stillhouse.distillation.methods.srd import srd_loss
from stillhouse.distillation.methods.teacher_bounded import teacher_bounded_loss
from stillhouse.distillation.methods.wttm import wttm_loss
from stillhouse.errors import DataError

TARGETS = torch.tensor([0, 1, 2, 0])
LOSSES = {
    "born_again": lambda mine, its: born_again_loss(mine, its, TARGETS),
    "ce": ce_loss,
    "dist": dist_loss,
    "dkd": lambda mine, its: dkd_loss(mine, its, TARGETS),
    "ema_teacher": ema_teacher_loss,
    "embedding": embedding_loss,
    "fitnet": fitnet_loss,
    "kd": kd_loss,
    "match": match_loss,
    "multi_label": multi_label_loss,
    "srd": srd_loss,
    "teacher_bounded": lambda mine, its: teacher_bounded_loss(mine, its, TARGETS.float()),
    "wttm": wttm_loss,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (4, 4)], ids=str)
def test_a_teacher_of_another_shape_is_refused(name: str, shape: tuple[int, int]):
    student = torch.randn(4, 3)
    with pytest.raises(DataError, match=r"the student gives \[4, 3\], the teacher \["):
        LOSSES[name](student, torch.randn(shape))
    assert torch.isfinite(LOSSES[name](student, torch.randn(4, 3))).all()


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_relations_want_the_same_rows_of_whatever_width(loss):
    assert torch.isfinite(loss(torch.randn(4, 3), torch.randn(4, 7)))
    with pytest.raises(DataError, match="the student gives 4 rows, the teacher 1"):
        loss(torch.randn(4, 3), torch.randn(1, 3))


def test_maps_of_another_size_are_refused():
    maps: Tensor = torch.randn(2, 3, 4, 4)
    assert torch.isfinite(hcl_loss(maps, maps.flip(0))).all()
    with pytest.raises(DataError, match=r"the teacher \[2, 3, 4, 1\]"):
        hcl_loss(maps, maps[..., :1])
