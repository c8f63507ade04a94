import math

import pytest
import torch

from stillhouse.evaluation import label_trust
from stillhouse.evaluation.tasks import MULTI_LABEL

NAN = float("nan")


def odds_of(share: float) -> float:
    return math.log(share / (1 - share))


def told(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Two labels: the first is told with 0.9 and there in half of the rows, the second with 0.3 and
    there in three of ten.
    """
    odds = torch.tensor([[odds_of(0.9), odds_of(0.3)]]).repeat(n, 1)
    truth = torch.stack([torch.arange(n) % 2 == 0, torch.arange(n) % 10 < 3], dim=1).float()
    return odds, truth


def test_the_error_is_the_gap_of_probability_and_share_over_all_labels_and_the_worst():
    found = label_trust.scores(*told())
    assert found == pytest.approx({"ece": (0.4 + 0.0) / 2, "worst_ece": 0.4}, abs=1e-6)
    assert label_trust.worst(*told(), ("a", "b")) == ("a", pytest.approx(0.4, abs=1e-6))


def test_bins_are_of_the_probability_so_that_opposite_errors_do_not_cancel():
    shares = [0.2] * 20 + [0.8] * 20
    odds = torch.tensor([odds_of(share) for share in shares])[:, None]
    truth = torch.tensor([1.0] * 8 + [0.0] * 12 + [1.0] * 20)[:, None]  # 0.4 and 1.0
    assert label_trust.scores(odds, truth)["ece"] == pytest.approx(0.2, abs=1e-6)


def test_a_label_that_nobody_knows_is_left_out():
    odds, truth = told(80)
    truth[:20, 0] = NAN
    odds[:20, 0] = 50.0
    # 60 labels that are off by 0.4, and 80 that are not
    expected = {"ece": 60 * 0.4 / 140, "worst_ece": 0.4}
    assert label_trust.scores(odds, truth) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("known", "counts"), [(40, True), (39, False)])
def test_of_a_label_known_in_few_rows_no_error_is_told(known, counts):
    odds, truth = told(80)
    truth[known:, 0] = NAN
    gap, other = label_trust.by_label(odds, truth)
    assert (gap is not None) is counts
    assert other == pytest.approx(0.0, abs=1e-6)
    assert label_trust.scores(odds, truth)["worst_ece"] == pytest.approx(
        0.4 if counts else 0.0, abs=0.02
    )
    alone = label_trust.intervals(odds[:, :1], truth[:, :1])
    assert ("worst_ece" in alone) is counts
    assert ("worst_ece" in label_trust.scores(odds[:, :1], truth[:, :1])) is counts
    assert (label_trust.worst(odds[:, :1], truth[:, :1], ("a",)) is not None) is counts


def test_intervals_hold_the_scores_and_a_calibrated_model_is_told_from_one_that_is_not():
    generator = torch.Generator().manual_seed(0)
    odds = torch.randn(2000, 3, generator=generator)
    truth = (torch.rand(2000, 3, generator=generator) < odds.sigmoid()).float()
    good, bad = label_trust.intervals(odds, truth), label_trust.intervals(3 * odds, truth)
    for name, value in label_trust.scores(odds, truth).items():
        low, middle, high = good[name]
        assert middle == pytest.approx(value)
        assert low <= middle <= high
        assert high < bad[name][0]


def test_a_resamples_worst_is_taken_of_the_labels_that_are_worst_as_observed():
    generator = torch.Generator().manual_seed(0)
    count = label_trust.CANDIDATES + 4
    odds = torch.randn(60, count, generator=generator)
    truth = (torch.rand(60, count, generator=generator) < 0.5).float()
    parts = label_trust.worst_parts(odds, truth)
    assert parts.shape == (60, 16 * label_trust.CANDIDATES)
    observed = float(label_trust.worst_of_sums(parts.sum(dim=0, keepdim=True))[0])
    assert observed == pytest.approx(label_trust.scores(odds, truth)["worst_ece"])


def test_the_task_tells_it_of_a_split():
    found = MULTI_LABEL.scores(*told())
    assert found["ece"] == pytest.approx(0.2, abs=1e-6)
    assert found["worst_ece"] == pytest.approx(0.4, abs=1e-6)
