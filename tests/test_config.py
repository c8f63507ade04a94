import math
import re
from dataclasses import dataclass

import pytest

from stillhouse import config
from stillhouse.config import Count, InputFile, Positive, Share, Spec
from stillhouse.errors import SettingsError
from stillhouse.params import overlay, parse


@dataclass(frozen=True)
class Knobs:
    temperature: Positive = 4.0
    share: Share = 0.5
    epochs: Count = 3
    path: InputFile | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class WithSpec:
    spec: Spec


def test_defaults_stand_where_nothing_is_set():
    assert config.build(Knobs, {}, where="k") == Knobs()


def test_a_whole_number_may_stand_for_a_float():
    assert config.build(Knobs, {"temperature": 2}, where="k").temperature == 2.0


def test_a_list_may_stand_for_a_tuple():
    assert config.build(Knobs, {"sizes": [1, 2]}, where="k").sizes == (1, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temprature": 1.0}, "temperature"),
        ({"temperature": -1}, "greater than 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"share": 1.5}, "less than or equal to 1"),
        ({"epochs": "many"}, "valid integer"),
        ({"epochs": 2.5}, "valid integer"),
        ({"epochs": True}, "valid integer"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_its_place(given, said):
    with pytest.raises(SettingsError, match=said) as caught:
        config.build(Knobs, given, where="distill")
    assert "distill" in str(caught.value)


@pytest.mark.parametrize(("text", "written"), [("1e-3", "1.0e-3"), ("2.5E4", "2.5e+4")])
def test_a_number_that_yaml_takes_for_text_is_told_how_to_write(text: str, written: str):
    assert parse(f"x: {text}") == {"x": text}
    with pytest.raises(SettingsError, match=re.escape(f"'{text}' is text: YAML wants a point")):
        config.build(Knobs, {"temperature": text}, where="k")
    with pytest.raises(SettingsError, match=re.escape(f"Write {written}, or")):
        config.ends({"float": [0.0, text]}, "k")
    config.build(Knobs, parse(f"temperature: {written}"), where="k")


def test_set_lays_a_value_over_the_file_without_touching_it():
    params = {"distill": {"epochs": 1}}
    assert overlay(params, ["distill.epochs=2"]) == {"distill": {"epochs": 2}}
    assert params == {"distill": {"epochs": 1}}


def test_setting_a_name_starts_from_that_plugins_defaults_in_whatever_order():
    params = {"a": {"method": {"name": "kd", "temperature": 9}}}
    for sets in (
        ["a.method.name=dkd", "a.method.alpha=2"],
        ["a.method.alpha=2", "a.method.name=dkd"],
    ):
        assert overlay(params, sets) == {"a": {"method": {"name": "dkd", "alpha": 2}}}


def test_an_outer_name_is_set_before_an_inner_one_in_whatever_order():
    params = {"teacher": {"name": "onnx", "path": "big.onnx"}}
    wanted = {"teacher": {"name": "fit", "architecture": {"name": "mlp", "width": 8}}}
    for sets in (
        ["teacher.architecture.name=mlp", "teacher.name=fit"],
        ["teacher.name=fit", "teacher.architecture.name=mlp"],
    ):
        assert overlay(params, [*sets, "teacher.architecture.width=8"]) == wanted


def test_a_space_has_finite_ends():
    assert config.ends({"float": [1, 20]}, "x") == [1.0, 20.0]
    for value in (math.inf, math.nan):
        with pytest.raises(SettingsError, match="finite"):
            config.ends({"float": [1, value]}, "x")


def test_a_word_where_a_mapping_belongs_is_refused_in_words_of_yaml():
    with pytest.raises(
        SettingsError, match=r"x\.spec: must be a mapping, not 'mlp'\. Write its settings"
    ):
        config.build(WithSpec, {"spec": "mlp"}, where="x")
    assert config.build(WithSpec, {"spec": {"name": "mlp"}}, where="x").spec == {"name": "mlp"}


def test_setting_the_same_name_starts_from_the_defaults_too():
    params = {"a": {"method": {"name": "kd", "temperature": 9}}}
    assert overlay(params, ["a.method.name=kd"]) == {"a": {"method": {"name": "kd"}}}


def test_set_takes_yaml_and_refuses_what_is_not():
    assert overlay({}, ["gate.rules=[{metric: test/accuracy, at_least: 0.9}]"])["gate"][
        "rules"
    ] == [{"metric": "test/accuracy", "at_least": 0.9}]
    for text in ("no-equals", "=1", "a..b=1", "a=[1"):
        with pytest.raises(SettingsError):
            overlay({}, [text])


def test_broken_yaml_is_refused_with_its_line():
    assert parse("a: 1\nb: [2]\n") == {"a": 1, "b": [2]}
    with pytest.raises(SettingsError, match=r"params\.yaml, line 3.*opened in line 2"):
        parse("a: 1\nb: [unclosed\n")


def test_yaml_that_would_build_objects_is_refused():
    with pytest.raises(SettingsError):
        parse("a: !!python/object/apply:os.system ['true']\n")


def test_a_search_space_is_told_from_a_plugin():
    assert config.is_space({"float": [1, 2]})
    assert config.is_space({"choice": ["a", "b"]})
    assert not config.is_space({"name": "kd", "float": 1})
    assert not config.is_space(3)


def test_the_ends_of_a_space_must_be_in_order_and_of_its_kind():
    assert config.ends({"float": [1, 20], "log": True}, "x") == [1.0, 20.0]
    assert config.ends({"choice": ["a", "b"]}, "x") == ["a", "b"]
    for space in (
        {"float": [3, 1]},
        {"float": [0, 1], "log": True},
        {"int": [1.5, 2]},
        {"int": [1]},
        {"float": [1, 2], "lgo": True},
    ):
        with pytest.raises(SettingsError):
            config.ends(space, "x")


def test_spaces_are_found_inside_lists_and_replaced():
    section = {
        "method": {"name": "combine", "parts": [{"name": "kd", "temperature": {"float": [1, 4]}}]}
    }
    [(path, space)] = config.spaces(section)
    assert path == ("method", "parts", "0", "temperature")
    assert space == {"float": [1, 4]}
    assert config.put(section, path, 2.0)["method"]["parts"][0]["temperature"] == 2.0


def test_a_space_outside_distill_is_refused():
    config.refuse_spaces({"epochs": 3}, "teacher")
    with pytest.raises(SettingsError, match="distill"):
        config.refuse_spaces({"epochs": {"int": [1, 9]}}, "teacher")


def test_files_that_a_section_names_are_found():
    assert config.input_files(Knobs, {"path": "a.csv", "epochs": 1}) in ({"path": "a.csv"}, {})


def test_a_plugins_space_is_checked_at_both_ends():
    config.check_spec(
        "methods", {"name": "kd", "temperature": {"float": [1, 20]}}, where="distill.method"
    )
    with pytest.raises(SettingsError, match="greater than 0"):
        config.check_spec(
            "methods", {"name": "kd", "temperature": {"float": [-1, 20]}}, where="distill.method"
        )


def test_infinity_is_a_number_that_bounds_may_still_refuse():
    assert math.isinf(config.build(Knobs, {"temperature": math.inf}, where="k").temperature)
