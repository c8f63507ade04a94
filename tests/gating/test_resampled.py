import pytest
import torch

from stillhouse.evaluation.metrics import ece, ece_of_sums, ece_parts
from stillhouse.gating.resampled import ResampledTest, resample


def mean_of(rows, seed=0):
    return resample(rows[:, None], lambda sums: sums[:, 0] / len(rows), seed=seed)


def test_quantiles_are_the_normal_ones_of_a_mean_and_repeat_with_the_seed():
    rows = torch.randn(400, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = mean_of(rows)
    low, high = ResampledTest(found, 0.0, ">=").interval(0.05)
    half = 1.645 * rows.std(correction=0).item() / 20
    assert (low, high) == pytest.approx((found.estimate - half, found.estimate + half), abs=0.012)
    assert (mean_of(rows).draws == found.draws).all()
    assert not (mean_of(rows, seed=1).draws == found.draws).all()


@pytest.mark.parametrize("direction", [">=", "<="])
def test_p_value_and_interval_are_one_statement(direction):
    found = mean_of(torch.linspace(0, 1, 200, dtype=torch.float64))
    for bound in torch.linspace(0.4, 0.6, 41).tolist():
        test = ResampledTest(found, bound, direction)
        low, high = test.interval(0.025)
        reaches, misses = (
            (low >= bound, high < bound) if direction == ">=" else (high <= bound, low > bound)
        )
        assert (test.met <= 0.025) == reaches
        assert (test.missed <= 0.025) == misses


def test_ece_s_resamples_are_moved_by_their_bias():
    generator = torch.Generator().manual_seed(0)
    logits, targets = (
        torch.randn(300, 3, generator=generator),
        torch.randint(0, 3, (300,), generator=generator),
    )
    found = resample(ece_parts(logits, targets), lambda sums: ece_of_sums(sums, 300))
    assert found.estimate == pytest.approx(ece(logits, targets))
    assert found.draws.mean() == pytest.approx(found.estimate)


def test_more_rows_are_forecast_by_the_root_and_none_where_the_estimate_is_the_bound():
    found = mean_of(torch.linspace(0, 1, 200, dtype=torch.float64))
    test = ResampledTest(found, found.estimate - 0.01, ">=")
    low, _ = test.interval(0.05)
    assert test.rows_needed(0.05) == pytest.approx(
        200 * ((found.estimate - low) / 0.01) ** 2, rel=0.01
    )
    assert ResampledTest(found, found.estimate, ">=").rows_needed(0.05) is None
