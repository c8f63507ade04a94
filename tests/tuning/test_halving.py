import pytest

from stillhouse.tuning.halving import Halving


@pytest.mark.parametrize(
    ("first", "keep", "rungs"),
    [
        (0.25, 0.25, (0.25,)),
        (0.25, 0.5, (0.25, 0.5)),
        (0.1, 0.5, (0.1, 0.2, 0.4, 0.8)),
        (0.9, 0.5, (0.9,)),
    ],
)
def test_each_look_comes_after_as_many_more_steps_as_trials_are_dropped(
    first: float, keep: float, rungs: tuple[float, ...]
) -> None:
    assert Halving(first, keep).rungs == pytest.approx(rungs)


def test_the_best_on_val_go_on_and_ties_go_to_the_lower_nll_then_the_lower_number() -> None:
    reached = {
        4: {"val/accuracy": 0.8, "val/nll": 0.5},
        1: {"val/accuracy": 0.9, "val/nll": 0.7},
        7: {"val/accuracy": 0.8, "val/nll": 0.4},
        2: {"val/accuracy": 0.1, "val/nll": 2.0},
    }
    assert Halving(keep=0.5).survivors(reached, ["val/accuracy"]) == [1, 7]
    assert Halving(keep=0.25).survivors(reached, ["val/accuracy"]) == [1]
    assert Halving(keep=0.6).survivors(reached, ["val/accuracy"]) == [1, 4, 7]


def test_one_trial_always_goes_on_and_of_none_none_does() -> None:
    assert Halving(keep=0.01).survivors({3: {"val/accuracy": 0.0}}, ["val/accuracy"]) == [3]
    assert Halving().survivors({}, ["val/accuracy"]) == []
