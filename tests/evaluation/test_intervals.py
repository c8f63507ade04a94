import numpy as np
import pytest
import torch
from scipy.stats import binom

from stillhouse.errors import DataError
from stillhouse.evaluation.intervals import bootstrap, lower, proportion, resamples, upper


@pytest.mark.parametrize(("successes", "n"), [(1, 5), (9, 10), (50, 100), (879, 880)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
def test_at_each_bound_the_count_seen_has_exactly_the_tail_s_probability(
    successes: int, n: int, level: float
) -> None:
    low, estimate, high = proportion(successes, n, level)
    assert estimate == successes / n
    assert binom.sf(successes - 1, n, low) == pytest.approx((1 - level) / 2, rel=1e-6)
    assert binom.cdf(successes, n, high) == pytest.approx((1 - level) / 2, rel=1e-6)


def test_none_and_all_of_the_rows_have_bounds_by_hand() -> None:
    low, estimate, high = proportion(0, 20)
    assert (low, estimate) == (0.0, 0.0)
    assert high == pytest.approx(1 - 0.025 ** (1 / 20))
    low, estimate, high = proportion(20, 20)
    assert (estimate, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 20))


def test_one_sided_bounds_put_all_of_alpha_on_one_side() -> None:
    assert binom.sf(89, 100, lower(90, 100, 0.05)) == pytest.approx(0.05)
    assert binom.cdf(90, 100, upper(90, 100, 0.05)) == pytest.approx(0.05)
    assert lower(90, 100, 0.05) > proportion(90, 100)[0]


def test_the_exact_interval_holds_the_truth_at_least_as_often_as_it_says() -> None:
    truth, n = 0.9, 40
    weight = binom.pmf(np.arange(n + 1), n, truth)
    covered = [low <= truth <= high for low, _, high in (proportion(k, n) for k in range(n + 1))]
    assert float(weight @ np.array(covered)) >= 0.95


def test_no_rows_are_refused_and_one_is_not() -> None:
    with pytest.raises(DataError, match="no rows"):
        proportion(0, 0)
    with pytest.raises(DataError, match="3 of 2"):
        proportion(3, 2)
    assert proportion(1, 1)[1] == 1.0


def test_a_resample_draws_as_many_rows_as_there_are() -> None:
    drawn = np.concatenate(list(resamples(7, 50, np.random.default_rng(0))))
    assert drawn.shape == (50, 7)
    assert (drawn.sum(axis=1) == 7).all()


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval() -> None:
    values = torch.randn(400, 1, dtype=torch.float64) + 3
    low, estimate, high = bootstrap(values, lambda sums: sums[:, 0] / 400, seed=1, count=4000)
    half = 1.96 * float(values.std()) / 20
    assert estimate == pytest.approx(float(values.mean()))
    assert low == pytest.approx(estimate - half, abs=0.02)
    assert high == pytest.approx(estimate + half, abs=0.02)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = torch.rand(50, 1, dtype=torch.float64)

    def interval(seed: int) -> tuple[float, float, float]:
        return bootstrap(values, lambda sums: sums[:, 0] / 50, seed=seed, count=300)

    assert interval(0) == interval(0)
    assert interval(0) != interval(1)
