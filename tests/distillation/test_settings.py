import pytest

from stillhouse.distillation.settings import Settings, check, corners, read
from stillhouse.errors import PluginNotFound, SettingsError, UsageError

LR = {"float": [0.001, 0.03], "log": True}
GOOD = {
    "student": {"name": "mlp", "width": {"int": [16, 64]}, "depth": 2},
    "optimizer": {"name": "adamw", "lr": LR},
    "method": {
        "name": "combine",
        "parts": [
            {
                "name": "kd",
                "weight": {"float": [0.1, 1]},
                "temperature": {"float": [1, 20], "log": True},
            },
            {"name": "ce"},
        ],
    },
    "supervised": {"float": [0, 1]},
    "selector": {"name": "confidence", "threshold": {"choice": [0.5, 0.9]}},
    "epochs": {"int": [1, 5]},
    "batch": {"choice": [32, 128]},
}


def test_spaces_may_stand_anywhere():
    check(GOOD)


def test_nothing_is_a_section_too():
    check(None)
    check({})
    assert read(None) == Settings()
    assert Settings().method == {"name": "kd"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"method": {"name": "kd", "temperature": -1}},
            r"distill\.method\.temperature: must be greater than 0",
        ),
        (
            {"method": {"name": "kd", "temperature": {"float": [0, 20]}}},
            r"distill\.method\.temperature: must be greater than 0",
        ),
        ({"epochs": "many"}, r"distill\.epochs: must be a valid integer"),
        ({"epochs": {"float": [1, 3]}, "method": {"name": "kd"}}, None),
        ({"epochs": {"float": [1.5, 3]}}, r"distill\.epochs: must be a valid integer"),
        ({"epochs": 0}, "greater than or equal to 1"),
        (
            {"supervised": {"float": [0, 1.5]}},
            r"distill\.supervised: must be less than or equal to 1",
        ),
        ({"supervised": {"float": [1, 0]}}, "rising order"),
        ({"supervised": {"float": [0, 1], "step_size": 1}}, "no 'step_size'"),
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"method": "kd"}, r"distill\.method: must be a (valid|mapping)"),
        ({"method": {"temperature": 4}}, "needs a mapping with a name"),
        ({"method": {"name": "kd", "temprature": 4}}, "Did you mean 'temperature'"),
        (
            {"student": {"name": "mlp", "width": {"int": [0, 8]}}},
            r"distill\.student\.width: must be greater than or equal to 1",
        ),
        (
            {"optimizer": {"name": "adamw", "lr": {"float": [-1, 1]}}},
            r"distill\.optimizer\.lr: must be greater than 0",
        ),
        ({"optimizer": {"name": "adamww"}}, "Did you mean 'adamw'"),
        (
            {"selector": {"name": "confidence", "threshold": {"choice": [0.5, 2.0]}}},
            "less than or equal to 1",
        ),
        (
            {
                "method": {
                    "name": "combine",
                    "parts": [{"name": "kd", "temperature": {"float": [-1, 20]}}],
                }
            },
            r"parts\.0\.temperature: must be greater than 0",
        ),
        ({"method": {"name": "combine", "parts": []}}, "at least one part"),
        ({"ema": 1.0}, "less than 1"),
        ({"patience": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_refused(change: dict[str, object], said: str | None):
    check(GOOD)
    with pytest.raises(SettingsError, match=said):
        check({**GOOD, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"method": {"name": "dkdd"}},
            r"distill\.method\.name: there is no plugin 'dkdd'.*Did you mean 'dkd'",
        ),
        ({"method": {"choice": [{"name": "kd"}, {"name": "dkdd"}]}}, "Did you mean 'dkd'"),
        ({"method": {"name": {"choice": ["kd", "dkdd"]}}}, "Did you mean 'dkd'"),
        ({"student": {"name": "mpl"}}, "Did you mean 'mlp'"),
        ({"selector": {"name": "confident"}}, "Did you mean 'confidence'"),
    ],
)
def test_an_unknown_plugin_is_refused_and_the_nearest_named(change: dict[str, object], said: str):
    with pytest.raises(PluginNotFound, match=said):
        check({**GOOD, **change})


@pytest.mark.parametrize("section", ["kd", 3, [1]])
def test_a_section_that_is_no_mapping_is_refused(section: object):
    with pytest.raises(SettingsError, match="must be a mapping"):
        check(section)


def test_a_selector_beside_a_batch_level_method_is_refused_by_name():
    check({"method": {"name": "dist"}, "selector": {"name": "all"}})
    check({"method": {"name": "kd"}, "selector": {"name": "confidence"}})
    for method in (
        {"name": "dist"},
        {"name": "combine", "parts": [{"name": "kd"}, {"name": "dist"}]},
        {"choice": [{"name": "kd"}, {"name": "dist"}]},
    ):
        with pytest.raises(
            UsageError,
            match=r"distill\.selector: the selector 'confidence' weighs rows, but '(dist|combine)'",
        ):
            check({"method": method, "selector": {"name": "confidence"}})


def test_a_choice_of_methods_may_hold_spaces_of_its_own():
    chosen = {"choice": [{"name": "kd", "temperature": {"float": [1, 20]}}, {"name": "dkd"}]}
    check({"method": chosen})
    assert [c["method"] for c in corners({"method": chosen}, "distill")] == [
        {"name": "kd", "temperature": 1.0},
        {"name": "kd", "temperature": 20.0},
        {"name": "dkd"},
    ]
    with pytest.raises(SettingsError, match="greater than 0"):
        check(
            {
                "method": {
                    "choice": [{"name": "kd", "temperature": {"float": [-1, 20]}}, {"name": "dkd"}]
                }
            }
        )


def test_corners_grow_with_the_spaces_not_with_their_product():
    assert len(list(corners(GOOD, "distill"))) == 2 * 8


@pytest.mark.parametrize("name", ["adaad", "igdm", "pgd_at", "rslad", "saad", "trades"])
@pytest.mark.parametrize("norm", ["l1", "l0", "patch", "geometry"])
def test_a_norm_that_no_training_climbs_is_refused_before_one_starts(name, norm):
    check({**GOOD, "method": {"name": name, "norm": "l2"}, "selector": {"name": "all"}})
    with pytest.raises(SettingsError, match="method"):
        check({**GOOD, "method": {"name": name, "norm": norm}, "selector": {"name": "all"}})
