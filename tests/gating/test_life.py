import pytest

from stillhouse.gating.life import spent


def test_all_that_is_ever_spent_is_at_most_the_whole_and_nearly_all_of_it():
    total = sum(spent(0.05, look) for look in range(1, 20_001))
    assert 0.0499 < total < 0.05


def test_each_comparison_spends_less_than_the_one_before():
    levels = [spent(0.05, look) for look in range(1, 60)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.0304, abs=1e-4)
