import numpy as np
import pytest
import torch

from stillhouse.errors import DataError
from stillhouse.evaluation.gain import Gain, sentence, two_way


def correct(share: float, seeds: int, rows: int, seed: int) -> torch.Tensor:
    return torch.rand(seeds, rows, generator=torch.Generator().manual_seed(seed)) < share


def test_the_estimate_is_the_difference_of_the_means() -> None:
    a, b = correct(0.9, 5, 200, 0), correct(0.8, 5, 200, 1)
    gain = two_way(a, b)
    assert gain.estimate == pytest.approx(float(a.double().mean() - b.double().mean()))
    assert gain.low < gain.estimate < gain.high


def test_one_resample_in_a_plain_loop_gives_the_same_numbers() -> None:
    a, b = correct(0.9, 3, 20, 0), correct(0.7, 3, 20, 1)
    gain = two_way(a, b, seed=4, count=200)
    generator = np.random.default_rng(4)
    seeds = generator.integers(0, 3, size=(200, 3))
    rows = generator.integers(0, 20, size=(200, 20))
    difference = a.double().numpy() - b.double().numpy()
    drawn = [difference[np.ix_(seeds[k], rows[k])].mean() for k in range(200)]
    assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_the_same_seed_gives_the_same_interval_and_swapped_arms_the_opposite_estimate() -> None:
    a, b = correct(0.9, 5, 100, 0), correct(0.8, 5, 100, 1)
    assert two_way(a, b) == two_way(a, b)
    assert two_way(b, a).estimate == -two_way(a, b).estimate


def test_pairing_rows_makes_the_interval_narrower_than_unrelated_rows_do() -> None:
    hard = correct(0.5, 1, 400, 0)
    a, b = (hard | correct(0.10, 5, 400, 1)), (hard | correct(0.05, 5, 400, 2))
    shuffled = b[:, torch.randperm(400)]
    paired, unpaired = two_way(a, b), two_way(a, shuffled)
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_seeds_that_disagree_widen_the_interval() -> None:
    rows = correct(0.5, 1, 2000, 0).expand(4, -1)
    lucky = torch.tensor([[True], [True], [False], [False]])
    agree, disagree = two_way(rows | correct(0.5, 4, 2000, 1), rows), two_way(rows | lucky, rows)
    assert disagree.high - disagree.low > 3 * (agree.high - agree.low)


def test_two_equal_arms_give_no_evidence_in_about_95_of_100_repetitions() -> None:
    cleared = sum(
        two_way(correct(0.9, 5, 300, 2 * k), correct(0.9, 5, 300, 2 * k + 1), count=500).low > 0
        for k in range(60)
    )
    assert cleared <= 4


def test_arms_with_other_seeds_or_rows_are_refused() -> None:
    with pytest.raises(DataError, match="same seeds and rows"):
        two_way(correct(0.9, 5, 100, 0), correct(0.9, 4, 100, 0))
    with pytest.raises(DataError, match="same seeds and rows"):
        two_way(torch.zeros(0, 5), torch.zeros(0, 5))
    assert two_way(torch.ones(1, 1), torch.zeros(1, 1)) == Gain(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("over", "gain", "said"),
    [
        (
            "hard",
            Gain(0.030, 0.019, 0.042),
            "The teacher's confidences gave 3.0 points beyond its decisions [1.9, 4.2].",
        ),
        (
            "none",
            Gain(0.086, 0.077, 0.095),
            "The teacher gave 8.6 points over labels alone [7.7, 9.5].",
        ),
        (
            "none",
            Gain(0.003, -0.004, 0.010),
            "No evidence that the teacher helped: +0.3 points [−0.4, +1.0] over labels alone.",
        ),
        (
            "hard",
            Gain(-0.003, -0.010, 0.0),
            "No evidence that the teacher's confidences helped: −0.3 points [−1.0, 0.0] "
            "beyond its decisions.",
        ),
        (
            "none",
            Gain(-0.021, -0.030, -0.012),
            "The teacher hurt: −2.1 points [−3.0, −1.2] over labels alone.",
        ),
        (
            "hard",
            Gain(-0.021, -0.030, -0.012),
            "The teacher's confidences hurt: −2.1 points [−3.0, −1.2] beyond its decisions.",
        ),
        (
            "smooth",
            Gain(0.086, 0.077, 0.095),
            "The teacher gave 8.6 points over smoothed labels [7.7, 9.5].",
        ),
        (
            "shuffled",
            Gain(0.003, -0.004, 0.010),
            "No evidence that what the teacher knows of a single row helped: +0.3 points "
            "[−0.4, +1.0] beyond what it says of the whole class.",
        ),
        (
            "no_dist",
            Gain(0.030, 0.019, 0.042),
            "The part dist gave 3.0 points beyond the other parts [1.9, 4.2].",
        ),
        (
            "none",
            Gain(0.0, 0.0, 0.0),
            "No evidence that the teacher helped: 0.0 points [0.0, 0.0] over labels alone.",
        ),
    ],
)
def test_the_sentence_says_what_the_interval_says(over: str, gain: Gain, said: str) -> None:
    assert sentence(over, gain) == said


def test_confidences_that_only_do_less_harm_than_decisions_are_no_help():
    told = sentence("hard", Gain(0.071, 0.024, 0.117), Gain(-0.55, -0.60, -0.50))
    assert told.startswith("No evidence that the teacher's confidences helped: +7.1 points")
    assert sentence("hard", Gain(0.071, 0.024, 0.117), Gain(0.08, 0.05, 0.11)).startswith(
        "The teacher's confidences gave 7.1 points"
    )
