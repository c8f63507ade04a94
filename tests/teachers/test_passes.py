from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from training.blobs import blobs, net

from stillhouse.clock import ManualClock
from stillhouse.teachers.ask import BATCH, ask
from stillhouse.teachers.fit import Trained
from stillhouse.teachers.passes import WORTH_IT, rows_at_once
from stillhouse.teachers.teacher import Oracle

ROWS = blobs(WORTH_IT)


@dataclass
class Timed(Oracle):
    """Takes so many seconds a row by the rows it sees at once, and remembers what it saw."""

    clock: ManualClock
    seconds: dict[int, float]
    differs: int = 0
    seen: list[int] = field(default_factory=list)
    divisible = True

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        self.seen.append(len(rows))
        self.clock.elapsed += len(rows) * self.seconds.get(len(rows), 1.0)
        return inputs[:, :3] + (1e-7 if len(rows) == self.differs else 0.0)


def probed(oracle: Timed) -> tuple[int, list[int]]:
    told: dict[int, float] = {}
    size = rows_at_once(oracle, ROWS, oracle.clock, told=told.__setitem__)
    return size, list(told)


@pytest.mark.parametrize(
    ("seconds", "differs", "wanted"),
    [
        ({1024: 2.0, 256: 1.5, 64: 1.0}, 0, 64),
        ({1024: 2.0, 256: 1.0, 64: 1.5}, 0, 256),
        ({1024: 1.0, 256: 1.0, 64: 1.0}, 0, 1024),
        ({1024: 1.0, 256: 0.97, 64: 3.0}, 0, 1024),
        ({1024: 2.0, 256: 1.5, 64: 1.0}, 64, 256),
    ],
    ids=["the smallest", "the middle", "no gain", "too little", "other bits"],
)
def test_the_soonest_size_is_taken_if_its_answers_are_the_same_bits(
    seconds: dict[int, float], differs: int, wanted: int
):
    assert probed(Timed(ManualClock(), seconds, differs)) == (wanted, [1024, 256, 64])


def test_few_rows_and_what_does_not_run_here_are_not_probed():
    oracle = Timed(ManualClock(), {})
    told: dict[int, float] = {}
    few = ROWS.take(torch.arange(WORTH_IT - 1))
    assert rows_at_once(oracle, few, oracle.clock, told=told.__setitem__) == BATCH
    oracle.divisible = False
    assert probed(oracle) == (BATCH, [])
    assert not oracle.seen


def test_what_is_left_at_the_end_is_one_batch_and_the_answers_are_the_same():
    oracle, rows = Timed(ManualClock(), {}), ROWS.take(torch.arange(BATCH + 300))
    found = ask(oracle, rows, at_once=256)
    assert oracle.seen == [256, 256, 256, 256, 300]
    assert torch.equal(found, ask(oracle, rows))


def test_a_net_that_was_trained_here_answers_the_same_bits():
    oracle = Trained(net(ROWS).eval())
    size = rows_at_once(oracle, ROWS, ManualClock(), told=lambda *_: None)
    rows = ROWS.take(torch.arange(2 * BATCH + 5))
    assert torch.equal(ask(oracle, rows, at_once=size), ask(oracle, rows))
