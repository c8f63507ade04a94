import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from stillhouse.errors import SettingsError
from stillhouse.tuning.space import distributions, resolve, share_budget

SECTION = {
    "student": {"name": "mlp", "width": {"int": [16, 64], "step": 16}},
    "optimizer": {"name": "adamw", "lr": {"float": [0.001, 0.03], "log": True}},
    "method": {
        "name": "combine",
        "parts": [{"name": "kd", "temperature": {"float": [1, 20]}}, {"name": "ce"}],
    },
    "selector": {"name": "confidence", "threshold": {"float": [0.5, 0.9]}},
    "batch": {"choice": [64, 128]},
}


def test_spaces_become_distributions_by_sorted_path_name() -> None:
    found = distributions(SECTION)
    assert list(found) == [
        "batch",
        "method.parts.0.temperature",
        "optimizer.lr",
        "selector.threshold",
        "student.width",
    ]
    assert found["optimizer.lr"] == FloatDistribution(0.001, 0.03, log=True)
    assert found["student.width"] == IntDistribution(16, 64, step=16)
    assert found["batch"] == CategoricalDistribution([64, 128])


def test_a_trials_values_stand_in_place_of_the_spaces() -> None:
    values = {
        "batch": 64,
        "method.parts.0.temperature": 2.5,
        "optimizer.lr": 0.01,
        "selector.threshold": 0.6,
        "student.width": 32,
    }
    found = resolve(SECTION, values)
    assert found["method"]["parts"] == [{"name": "kd", "temperature": 2.5}, {"name": "ce"}]
    assert (found["optimizer"]["lr"], found["batch"], found["student"]["width"]) == (0.01, 64, 32)
    assert SECTION["batch"] == {"choice": [64, 128]}
    with pytest.raises(SettingsError, match=r"no value for 'student\.width'"):
        resolve(SECTION, {name: value for name, value in values.items() if name != "student.width"})


def test_controls_take_the_students_budget_and_search_the_rest() -> None:
    control = {**SECTION, "method": {"name": "ce"}, "epochs": {"int": [10, 20]}}
    student = {**SECTION, "batch": 128, "epochs": 15}
    shared = share_budget(control, student)
    assert (shared["batch"], shared["epochs"]) == (128, 15)
    assert list(distributions(shared)) == ["optimizer.lr", "selector.threshold", "student.width"]


def test_a_choice_among_plugins_is_drawn_as_text_and_comes_back_as_settings() -> None:
    section = {
        "method": {"choice": [{"name": "kd"}, {"name": "dkd", "beta": 2}]},
        "seeds": {"choice": [True, 1]},
    }
    found = distributions(section)["method"]
    assert isinstance(found, CategoricalDistribution)
    assert resolve(section, {"method": found.choices[1], "seeds": 1})["method"] == {
        "name": "dkd",
        "beta": 2,
    }
    assert resolve(section, {"method": found.choices[0], "seeds": True})["seeds"] is True


def test_a_step_that_misses_the_upper_end_stops_before_it() -> None:
    found = distributions({"x": {"float": [0, 1], "step": 0.3}})["x"]
    assert isinstance(found, FloatDistribution)
    assert found.high == pytest.approx(0.9)
    assert distributions({"x": {"int": [1, 8], "step": 3}})["x"] == IntDistribution(1, 7, step=3)


@pytest.mark.parametrize(
    "space",
    [
        {"float": [1, 2], "log": True, "step": 0.1},
        {"int": [1, 9], "step": 0.5},
        {"float": [1, 2], "step": 0},
        {"float": [2, 1]},
        {"float": [1, 2], "lg": 1},
    ],
)
def test_a_space_that_means_nothing_is_refused_by_its_path(space: dict[str, object]) -> None:
    assert distributions({"optimizer": {"lr": {"float": [1, 2]}}})
    with pytest.raises(SettingsError, match=r"distill\.optimizer\.lr"):
        distributions({"optimizer": {"lr": space}})
