import torch
from data.views.seen import SERIES, look, rows

from stillhouse.data.views.mixup import Mixup


def test_a_row_is_a_mean_of_itself_and_one_other_and_weighs_at_least_half() -> None:
    plain, found = rows(SERIES).flatten(1), look(Mixup(), SERIES).flatten(1)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    away, apart = found - plain, plain[order] - plain
    share = (away * apart).sum(1) / apart.square().sum(1).clamp_min(1e-9)
    torch.testing.assert_close(away, share[:, None] * apart, atol=1e-5, rtol=0)
    assert 0 <= share.min() < 0.05
    assert 0.45 < share.max() <= 0.5 + 1e-6


def test_only_the_teacher_knows_what_a_mixture_is() -> None:
    assert not Mixup.keeps_label
    torch.testing.assert_close(look(Mixup(least=1.0), SERIES), rows(SERIES))
