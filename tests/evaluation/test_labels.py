import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

from stillhouse.errors import DataError
from stillhouse.evaluation import labels
from stillhouse.evaluation.intervals import jackknife
from stillhouse.evaluation.knowing import knowing_labels

NAN = float("nan")


def rows(n: int = 200, noise: float = 1.5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    share = torch.tensor([0.5, 0.3, 0.1, 0.6])
    truth = (torch.rand(n, 4, generator=generator) < share).float()
    odds = 2 * truth - 1 + noise * torch.randn(n, 4, generator=generator)
    return odds.round(decimals=1), truth  # rounded: ties


def test_the_metrics_are_those_of_scikit_learn():
    odds, truth = rows()
    said, told = (odds > 0).numpy().astype(int), truth.numpy().astype(int)
    found = labels.scores(odds, truth)
    assert tuple(found) == labels.SCALARS
    assert found["exact_match"] == pytest.approx(sk.accuracy_score(told, said))
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(told, said))
    assert found["micro_f1"] == pytest.approx(sk.f1_score(told, said, average="micro"))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(told, said, average="macro"))
    assert found["map"] == pytest.approx(sk.average_precision_score(told, odds.numpy()))
    assert found["macro_auc"] == pytest.approx(sk.roc_auc_score(told, odds.numpy()))
    nll = F.binary_cross_entropy_with_logits(odds.double(), truth.double(), reduction="none")
    assert found["nll"] == pytest.approx(float(nll.sum(1).mean()))


def test_a_label_that_nobody_knows_counts_nowhere():
    odds, truth = rows()
    holed = truth.clone()
    holed[:50, 1] = NAN
    turned = odds.clone()
    turned[:50, 1] = -turned[:50, 1]
    assert labels.scores(turned, holed) == labels.scores(odds, holed)
    alone = labels.by_label(odds[50:], truth[50:], "abcd")[1]
    assert labels.by_label(odds, holed, "abcd")[1] == alone
    one = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, NAN]])
    assert labels.exact_rows(*one).tolist() == [True]
    assert labels.hamming_rows(-one[0], one[1]).tolist() == [1.0]


def test_labels_that_no_row_has_leave_the_means():
    odds, truth = rows()
    bare = truth.clone()
    bare[:, 3] = 0
    three = labels.scores(odds[:, :3], truth[:, :3])
    found = labels.scores(odds, bare)
    assert found["map"] == pytest.approx(three["map"])
    assert found["macro_auc"] == pytest.approx(three["macro_auc"])
    assert found["macro_f1"] == pytest.approx(three["macro_f1"])
    assert "macro_auc" not in labels.scores(odds, torch.zeros_like(truth))
    assert labels.by_label(odds, bare, "abcd")[3]["f1"] is None


def test_a_report_has_an_interval_for_each_metric_and_every_label():
    odds, truth = rows()
    found = labels.report(odds, truth, ("a", "b", "c", "d"))
    for name, value in labels.scores(odds, truth).items():
        low, estimate, high = found[name]
        assert low <= estimate <= high
        assert estimate == pytest.approx(value)
    assert [label["name"] for label in found["per_label"]] == ["a", "b", "c", "d"]
    first = found["per_label"][0]
    assert first["accuracy"][1] == pytest.approx(
        1 - float(labels.wrong(odds, truth)[:, 0].double().mean())
    )
    with pytest.raises(DataError, match="no row has a label"):
        labels.report(odds, torch.full_like(truth, NAN), ("a", "b", "c", "d"))


def test_a_ranking_counts_rows_as_often_as_they_are_drawn():
    odds, truth = rows(40)
    counts = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 40)).double()
    drawn = torch.repeat_interleave(torch.arange(40), counts.long())
    for ranking, told in (
        (labels.mean_precision, sk.average_precision_score),
        (labels.mean_area, sk.roc_auc_score),
    ):
        found = ranking(labels.ranked(odds, truth), counts[None])
        wanted = told(truth[drawn].numpy(), odds[drawn].numpy())
        assert float(found[0]) == pytest.approx(wanted)


def test_the_jackknife_of_a_mean_is_students_t_and_holds_about_as_often_as_it_says():
    draw, held = np.random.default_rng(0), 0

    def of(values: torch.Tensor) -> tuple[float, float, float]:
        return jackknife(lambda counts: (counts @ values) / counts.sum(1), 100, seed=0)

    for _ in range(300):
        values = torch.from_numpy(draw.exponential(size=100))
        low, estimate, high = of(values)
        assert estimate == pytest.approx(float(values.mean()))
        held += low <= 1 <= high
    assert 0.9 <= held / 300 <= 0.98


def test_a_model_that_says_the_same_of_every_row_knows_none():
    odds, truth = rows(noise=0.5)
    low, estimate, high = knowing_labels(odds, truth)
    assert 0 < low < estimate < high
    assert knowing_labels(odds[:1].expand(200, -1), truth) == (0.0, 0.0, 0.0)
    shuffled = odds[torch.randperm(200, generator=torch.Generator().manual_seed(1))]
    low, _, high = knowing_labels(shuffled, truth)
    assert low < 0 < high
