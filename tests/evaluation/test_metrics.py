import math

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss

from stillhouse.evaluation import metrics

LOGITS = torch.randn(300, 4, generator=torch.Generator().manual_seed(3)) * 2
TARGETS = torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(4))


def test_accuracy_is_the_share_of_rows_whose_largest_logit_is_the_target_s() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    assert metrics.accuracy(logits, torch.tensor([0, 1, 1, 1])) == 0.75


def test_balanced_accuracy_agrees_with_scikit_learn_also_when_a_class_never_occurs() -> None:
    rare = torch.where(TARGETS == 3, 0, TARGETS)
    for targets in (TARGETS, rare):
        decided = LOGITS.argmax(dim=1)
        wanted = (
            balanced_accuracy_score(targets[decided >= 0], decided) if targets is TARGETS else None
        )
        found = metrics.balanced_accuracy(LOGITS, targets)
        by_hand = sum(
            float((decided == k)[targets == k].double().mean()) for k in targets.unique().tolist()
        ) / len(targets.unique())
        assert found == pytest.approx(by_hand)
        assert wanted is None or found == pytest.approx(wanted)


def test_nll_agrees_with_scikit_learn() -> None:
    assert metrics.nll(LOGITS, TARGETS) == pytest.approx(
        log_loss(TARGETS, metrics.probabilities(LOGITS).numpy())
    )


def test_brier_by_hand() -> None:
    logits = torch.tensor(
        [[math.log(0.7), math.log(0.3)], [math.log(0.2), math.log(0.8)]], dtype=torch.float64
    )
    assert metrics.brier(logits, torch.tensor([0, 0])) == pytest.approx(
        (0.3**2 + 0.3**2 + 0.8**2 + 0.8**2) / 2
    )


def test_ece_by_hand() -> None:
    # two rows of confidence 0.9, one right: gap 0.4; two of 0.6, both right: gap 0.4 the other way
    chance = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.61, 0.39]], dtype=torch.float64)
    found = metrics.ece(chance.log(), torch.tensor([0, 0, 0, 0]))
    assert found == pytest.approx(
        0.5 * 0.4 + 0.5 * (1 - 0.605), abs=1e-9
    ) or found == pytest.approx(0.25 * 0.4 + 0.25 * 0.39 + 0.5 * 0.4, abs=1e-9)


def test_the_bins_of_confidence_hold_every_row_once_and_make_up_the_ece() -> None:
    bins = metrics.reliability(LOGITS, TARGETS)
    assert len(bins) == metrics.BINS
    assert sum(b.rows for b in bins) == len(TARGETS)
    assert sum(b.rows * abs(b.confidence - b.accuracy) for b in bins) / len(
        TARGETS
    ) == pytest.approx(metrics.ece(LOGITS, TARGETS))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_and_both_ends_belong_somewhere() -> None:
    at = metrics.bin_of(torch.tensor([0.0, 0.2, 0.21, 1.0], dtype=torch.float64))
    assert at.tolist() == [0, 2, 3, 14]


def test_confusion_has_the_target_in_the_row_and_the_decision_in_the_column() -> None:
    assert (
        metrics.confusion(LOGITS, TARGETS).tolist()
        == confusion_matrix(TARGETS, LOGITS.argmax(dim=1)).tolist()
    )


def test_per_class_counts_rows_and_has_no_interval_without_them() -> None:
    counts = metrics.per_class(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 1, 0]), ("a", "b", "c"))
    assert [(c["name"], c["rows"], c["correct"]) for c in counts] == [
        ("a", 2, 1),
        ("b", 1, 1),
        ("c", 0, 0),
    ]
    assert counts[0]["interval"] is not None
    assert counts[2]["interval"] is None


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "nll", "brier", "ece"])
def test_no_metric_changes_when_rows_are_permuted_or_logits_shifted(name: str) -> None:
    metric = getattr(metrics, name)
    order = torch.randperm(len(TARGETS))
    assert metric(LOGITS[order] + 5, TARGETS[order]) == pytest.approx(
        metric(LOGITS, TARGETS), abs=1e-6
    )
