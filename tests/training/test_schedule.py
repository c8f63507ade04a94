import math

import pytest
import torch

from stillhouse.training.schedule import Order, learning_rate, report_epochs


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine():
    rates = [learning_rate(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_the_rate_is_a_share_and_never_zero(steps: int, warmup: float):
    assert all(0 < learning_rate(step, steps, warmup) <= 1 for step in range(steps))


def test_each_epoch_sees_each_row_once_in_batches_of_nearly_equal_size():
    order = Order(rows=129, batch=128, seed=0)
    parts = [order.at(step) for step in (0, 1)]
    assert [len(part) for part in parts] == [65, 64]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(129))
    assert not torch.equal(torch.cat(parts), torch.cat([order.at(2), order.at(3)]))


def test_the_order_depends_on_the_step_alone():
    one, two = Order(50, 16, 3), Order(50, 16, 3)
    for step in range(9):
        one.at(step)
    assert torch.equal(one.at(6), two.at(6))


def test_reported_epochs_are_spread_and_end_at_the_last():
    assert report_epochs(3) == {1, 2, 3}
    assert len(report_epochs(400)) == 40
    assert max(report_epochs(401)) == 401
