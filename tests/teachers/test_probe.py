from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.clock import ManualClock
from stillhouse.data.dataset import Dataset
from stillhouse.errors import OverBudget, SourceError
from stillhouse.teachers.probe import Job, probe
from stillhouse.teachers.teacher import Oracle, oracle

JOB = Job(1000, 0)


def knowing(rows: Dataset, right: float = 0.9) -> Callable[[Tensor, Tensor], Tensor]:
    """A teacher that knows most labels by the row's number."""
    known = torch.nn.functional.one_hot(rows.targets, 10).float() * 5
    wrong = torch.rand(len(rows), generator=torch.Generator().manual_seed(0)) > right
    known[wrong] = known[wrong].roll(1, dims=1)
    at = {int(row): place for place, row in enumerate(rows.rows)}
    return lambda inputs, numbers: known[[at[int(number)] for number in numbers]]


@pytest.fixture
def val(digits: Dataset) -> Dataset:
    return digits.take(torch.arange(300, 500))


def test_it_says_how_good_the_teacher_is_and_what_the_whole_job_takes(val: Dataset) -> None:
    clock = ManualClock()
    answer = knowing(val)

    def slow(inputs: Tensor, rows: Tensor) -> Tensor:
        clock.sleep(0.1 * len(rows))
        return answer(inputs, rows)

    found = probe(oracle(slow), val, JOB, clock)
    assert (found.rows, found.labelled) == (200, 200)
    assert found.accuracy == pytest.approx(0.9, abs=0.05)
    assert found.seconds == pytest.approx(100)
    assert "right on 9" in found.sentence
    assert "1,000 answers take about 100 s." in found.sentence
    assert found.notable


def test_a_quick_free_and_good_teacher_is_not_worth_a_word(val: Dataset) -> None:
    assert not probe(oracle(knowing(val)), val, JOB, ManualClock()).notable


def test_a_price_is_told_and_a_job_beyond_the_cap_is_not_begun(val: Dataset) -> None:
    class Paid(Oracle):
        usd_per_row = 0.01
        asked = 0

        def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
            self.asked += len(rows)
            return knowing(val)(inputs, rows)

        def require_money(self, rows: int) -> None:
            if rows * self.usd_per_row > 5:
                raise OverBudget("too much")

    paid = Paid()
    found = probe(paid, val, Job(1000, 400), ManualClock())
    assert paid.asked == 16
    assert "$4.00 for 400 of them" in found.sentence
    assert found.notable
    with pytest.raises(OverBudget):
        probe(paid, val, Job(1000, 600), ManualClock())
    assert paid.asked == 16


@pytest.mark.parametrize("order", [[1, 0, *range(2, 10)], [*range(1, 10), 0], [*range(9, -1, -1)]])
def test_classes_in_another_order_are_seen_and_the_right_one_is_named(
    val: Dataset, order: list[int]
) -> None:
    good = knowing(val)
    swapped = oracle(lambda inputs, rows: good(inputs, rows)[:, order])
    if order[3] == 3:  # two of ten swapped: four rows in five are right, and nothing is sure
        probe(swapped, val, JOB, ManualClock())
        return
    names = [val.classes[at] for at in order]
    with pytest.raises(SourceError, match="another order") as caught:
        probe(swapped, val, JOB, ManualClock())
    assert f"classes: {names}" in caught.value.fix
    assert caught.value.exit_code == 2
    probe(oracle(good), val, JOB, ManualClock())


def test_a_useless_teacher_is_told_of_and_let_through(val: Dataset) -> None:
    noise = torch.randn(2000, 10, generator=torch.Generator().manual_seed(1))
    found = probe(oracle(lambda inputs, rows: noise[rows]), val, JOB, ManualClock())
    assert found.accuracy is not None
    assert found.accuracy < 0.25
    constant = oracle(lambda inputs, rows: torch.eye(10)[3].repeat(len(rows), 1))
    told = probe(constant, val, JOB, ManualClock())
    assert told.notable
    assert "no better than always saying the commonest class" in told.sentence


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(64)])
def test_a_teacher_in_training_mode_is_seen(val: Dataset, layer: nn.Module) -> None:
    net = nn.Sequential(nn.Flatten(), layer, nn.Linear(64, 10))
    answer = oracle(lambda inputs, rows: net(inputs).detach())
    net.train()
    with pytest.raises(SourceError, match="asked again beside other rows") as caught:
        probe(answer, val, JOB, ManualClock())
    assert "model.eval()" in caught.value.fix
    net.eval()
    probe(answer, val, JOB, ManualClock())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda inputs, rows: nn.Linear(784, 10)(inputs.flatten(1)), r"rows of shape \[1, 8, 8\]"),
        (lambda inputs, rows: torch.zeros(len(rows), 7), "knows 7 classes, the data have 10"),
        (lambda inputs, rows: torch.full((len(rows), 10), torch.nan), "not a finite number"),
    ],
)
def test_a_teacher_of_other_rows_or_classes_is_refused(
    val: Dataset, answer: Callable[[Tensor, Tensor], Tensor], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        probe(oracle(answer), val, JOB, ManualClock())


def test_probabilities_are_not_taken_for_logits(val: Dataset) -> None:
    answer = knowing(val)
    with pytest.raises(SourceError, match="answers probabilities where logits are wanted"):
        probe(oracle(lambda inputs, rows: answer(inputs, rows).softmax(1)), val, JOB, ManualClock())
    logs = oracle(lambda inputs, rows: answer(inputs, rows).log_softmax(1))
    assert probe(logs, val, JOB, ManualClock()).accuracy == pytest.approx(0.9, abs=0.05)


def test_rows_without_labels_are_no_reason_to_stop(val: Dataset) -> None:
    bare = replace(val, targets=torch.full_like(val.targets, -1))
    assert "no labelled row" in probe(oracle(knowing(val)), bare, JOB, ManualClock()).sentence
