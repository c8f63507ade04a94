import pytest

from stillhouse.errors import SettingsError
from stillhouse.tuning.objectives import Trial, choose, directions


def trial(number: int, accuracy: float, nll: float = 1.0, size: float = 1.0) -> Trial:
    return Trial(number, {}, {"val/accuracy": accuracy, "val/nll": nll, "student/parameters": size})


def test_each_objective_knows_which_way_is_better() -> None:
    assert directions(["val/accuracy", "val/nll", "val/ece", "student/parameters"]) == [
        "maximize",
        "minimize",
        "minimize",
        "minimize",
    ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [("val/acuracy", "Did you mean 'val/accuracy'"), ("test/accuracy", "only val chooses")],
)
def test_a_metric_that_no_trial_may_aim_at_is_refused_with_the_nearest(
    wrong: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        directions([wrong])


@pytest.mark.parametrize("wrong", [[], ["val/nll", "val/nll"]])
def test_objectives_are_one_or_several_different_ones(wrong: list[str]) -> None:
    with pytest.raises(SettingsError, match="one or several different"):
        directions(wrong)


def test_the_best_value_wins_then_the_lower_nll_then_the_lower_number() -> None:
    one = ["val/accuracy"]
    assert choose([trial(0, 0.8), trial(1, 0.9), Trial(2, {}, None, "failed")], one) == trial(
        1, 0.9
    )
    assert choose([trial(0, 0.9, nll=2), trial(1, 0.9, nll=1)], one) == trial(1, 0.9, nll=1)
    assert choose([trial(0, 0.9), trial(1, 0.9)], one) == trial(0, 0.9)
    assert choose([Trial(0, {}, None, "failed")], one) is None


def test_of_several_objectives_the_first_decides_on_the_pareto_front() -> None:
    trials = [
        trial(0, 0.9, size=90),
        trial(1, 0.95, size=100),
        trial(2, 0.95, size=80),
        trial(3, 0.7, size=10),
    ]
    assert choose(trials, ["val/accuracy", "student/parameters"]) == trials[2]
    assert choose(trials, ["student/parameters", "val/accuracy"]) == trials[3]


def test_a_failed_trial_says_why_in_json() -> None:
    assert Trial(2, {"x": 1}, None, "rows 4").as_dict() == {
        "number": 2,
        "state": "failed",
        "values": None,
        "params": {"x": 1},
        "message": "rows 4",
    }
    assert trial(0, 0.9).as_dict()["state"] == "complete"
