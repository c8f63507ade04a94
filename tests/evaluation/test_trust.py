import pytest
import torch

from stillhouse.evaluation import metrics, trust


def answers(sure, right):
    """Logits of two classes with these confidences; the target is class 0."""
    sure = torch.tensor(sure, dtype=torch.float64)
    logits = torch.stack([sure.logit(), torch.zeros_like(sure)], dim=1)
    right = torch.tensor(right)
    return torch.where(right[:, None], logits, logits.flip(1)), torch.zeros(len(sure)).long()


def test_bins_of_equal_size_see_what_one_wide_bin_averages_away():
    # 300 rows at 0.97 and 0.99: the first half is over-confident, the second under-confident, and
    # both fall into the bin (14/15, 1] where the errors cancel.
    right = [True] * 140 + [False] * 10 + [True] * 150
    logits, targets = answers([0.97] * 150 + [0.95] * 150, right)
    wide, even = metrics.ece(logits, targets), trust.adaptive_ece(logits, targets)
    assert wide == pytest.approx(abs(0.96 - 290 / 300), abs=1e-9)
    assert even > wide + 0.03


def test_the_risk_is_what_is_wrong_among_the_surest_rows():
    logits, targets = answers(
        [0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.59, 0.58, 0.57, 0.56],
        [True, True, True, True, True, False, True, False, True, False],
    )
    table = {
        point.coverage: (point.rows, point.wrong) for point in trust.risk_coverage(logits, targets)
    }
    assert table[0.5] == (5, 0)
    assert table[0.6] == (6, 1)
    assert table[1.0] == (10, 3)
    assert trust.risk_coverage(logits, targets)[0].confidence == pytest.approx(0.7)


def test_the_area_is_the_mean_of_the_risks_and_counts_stand_for_rows():
    logits, targets = answers([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert trust.aurc(logits, targets) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    wrong = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    counts = torch.tensor([[2.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    assert trust.aurc_of(wrong, counts)[0] == pytest.approx((2 * 0 + 0 + 1 / 4) / 4)


def test_outcomes_are_told_by_class_and_a_class_without_rows_is_left_out():
    outcomes = torch.tensor([True, False, True])
    told = trust.by_class(outcomes, torch.tensor([0, 0, 2]), ("a", "b", "c"))
    assert {name: own.tolist() for name, own in told.items()} == {"a": [True, False], "c": [True]}
