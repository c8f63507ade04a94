import math

import pytest
import torch

from stillhouse.evaluation.gain import Gain, sentence
from stillhouse.evaluation.knowing import SMALLEST, knowing


def test_golden_value_by_hand():
    """Probabilities 3/4 and 1/4, right of both rows: ln 3/4 − ln 1/4 each, no spread."""
    logits = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).log()
    low, mean, high = knowing(logits, torch.tensor([0, 1]))
    assert (low, mean, high) == pytest.approx((math.log(3),) * 3)


@pytest.mark.parametrize("kind", ["constant", "noise", "shuffled"])
def test_answers_that_have_nothing_to_do_with_the_row_are_not_taken_for_knowledge(kind: str):
    found = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        targets = (torch.rand(120, generator=generator) < 0.1).long()
        right = 4 * torch.nn.functional.one_hot(targets, 2).float()
        logits = {
            "constant": torch.randn(2, generator=generator).expand(120, 2),
            "noise": 4 * torch.randn(120, 2, generator=generator),
            "shuffled": right[torch.randperm(120, generator=generator)],
        }[kind]
        found += knowing(logits, targets)[0] > 0
    assert found <= 10  # 5 %


def test_a_teacher_of_a_rare_class_is_found_though_it_never_names_it():
    """Accuracy is that of always saying no; the risk that it tells is right."""
    generator = torch.Generator().manual_seed(0)
    risk = torch.where(torch.arange(400) % 4 == 0, 0.3, 0.02)
    targets = (torch.rand(400, generator=generator) < risk).long()
    logits = torch.stack([(1 - risk).log(), risk.log()], dim=1)
    assert (logits.argmax(dim=1) == 0).all()
    assert knowing(logits, targets)[0] > 0


def test_one_absurd_answer_does_not_outvote_the_others_and_two_rows_are_needed():
    logits = torch.tensor([[0.0, -60_000.0]] * 3 + [[-60_000.0, 0.0]])
    low, mean, high = knowing(logits, torch.tensor([0, 0, 0, 0]))
    assert mean >= SMALLEST
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert knowing(logits[:1], torch.tensor([0])) == (0.0, 0.0, 0.0)


def test_no_sentence_credits_a_teacher_that_tells_nothing_of_a_row():
    gain = Gain(0.05, 0.02, 0.08)
    assert sentence("none", gain).startswith("The teacher gave 5.0 points")
    assert sentence("none", gain, knows=False) == (
        "No evidence that the teacher helped: +5.0 points [+2.0, +8.0] over labels alone, but what "
        "the teacher says of a row tells nothing of it."
    )
