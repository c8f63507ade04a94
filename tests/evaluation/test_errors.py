import pytest
import torch

from stillhouse.errors import DataError
from stillhouse.evaluation import errors

TOLD = torch.tensor([1.0, 2.0, 5.0, 3.0])
TRUTH = torch.tensor([0.0, 2.0, 3.0, 7.0])


def test_scores_by_hand():
    """Errors 1, 0, 2, −4; the targets' mean is 3 and their squares around it sum to 26."""
    found = errors.scores(TOLD, TOLD[:, None], TRUTH, ())
    assert found == pytest.approx({"rmse": (21 / 4) ** 0.5, "mae": 7 / 4, "r2": 1 - 21 / 26})


def test_scores_agree_with_scikit_learn():
    from sklearn import metrics

    generator = torch.Generator().manual_seed(0)
    truth = 1e4 + torch.randn(500, generator=generator)
    told = truth + 0.3 * torch.randn(500, generator=generator)
    found = errors.scores(told, told[:, None], truth, ())
    wide = truth.double().numpy(), told.double().numpy()
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(*wide))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(*wide))
    assert found["r2"] == pytest.approx(metrics.r2_score(*wide))


def test_the_quantile_loss_agrees_with_scikit_learn():
    from sklearn.metrics import mean_pinball_loss

    generator = torch.Generator().manual_seed(1)
    told, truth = torch.randn(60, 2, generator=generator), torch.randn(60, generator=generator)
    found = errors.pinball_rows(told.double(), truth.double(), (0.1, 0.9)).mean()
    wanted = [
        mean_pinball_loss(truth.double().numpy(), told[:, at].double().numpy(), alpha=level)
        for at, level in enumerate((0.1, 0.9))
    ]
    assert float(found) == pytest.approx(sum(wanted) / 2)


def test_the_quantile_loss_is_smallest_at_the_quantile():
    truth = torch.arange(101).double()
    grid = torch.arange(101).double()
    losses = [errors.pinball_rows(at.expand(101, 1), truth, (0.9,)).mean().item() for at in grid]
    assert losses.index(min(losses)) == 90


def test_coverage_counts_targets_between_the_outer_quantiles():
    outputs = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert errors.covered_rows(outputs, torch.tensor([1.5, 2.5])).tolist() == [True, False]


def test_a_report_holds_its_estimates_between_their_ends():
    found = errors.report(TOLD, TOLD[:, None], TRUTH, ())
    assert found["rows"] == 4
    for name in errors.SCALARS:
        low, estimate, high = found[name]
        assert low <= estimate <= high
    assert found["error_quantiles"][2] == pytest.approx(0.5)


def test_the_interval_of_an_error_holds_the_truth_about_as_often_as_it_says():
    """100 test sets of 200 rows, σ = 2: an honest 95 % interval of the RMSE misses 2 in few."""
    held = 0
    for seed in range(100):
        wrong = 2 * torch.randn(200, generator=torch.Generator().manual_seed(seed)).double()
        rows = errors.parts(wrong, torch.zeros(200))
        low, _, high = errors.bootstrap(rows, errors.of_sums(200)["rmse"], seed=0, count=400)
        held += low <= 2 <= high
    assert held >= 88


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no row has a target"):
        errors.report(TOLD[:0], TOLD[:0, None], TRUTH[:0], ())
