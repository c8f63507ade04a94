import subprocess
import sys
import textwrap

import pytest
import torch

from stillhouse import config, plugins
from stillhouse.errors import PluginNotFound, SettingsError
from stillhouse.training.randomness import random_state

MINE = """
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import KD

class MyKD(Method):
    def __init__(self, *, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = strength
    def forward(self, student, teacher, batch):
        return self.strength * (student.logits - teacher.logits).square().mean(1)
"""


@pytest.fixture(autouse=True)
def _forget():
    yield
    plugins.use([], config.file_of(".", __import__("pathlib").Path.cwd()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MyKD", "my_kd"),
        ("PGDAttack", "pgd_attack"),
        ("KD", "kd"),
        ("CELoss2", "ce_loss2"),
        ("Tiny", "tiny"),
    ],
)
def test_a_class_is_named_in_snake_case(name, expected):
    assert plugins.snake(name) == expected


def test_names_are_listed_without_importing_torch():
    code = (
        "import sys\nfrom stillhouse import plugins\nassert 'kd' in "
        "plugins.available('methods')\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("point", list(plugins.POINTS))
def test_every_built_in_plugin_loads_and_its_settings_have_types(point):
    names = list(plugins.available(point))
    assert names
    for name in names:
        assert config.parameters(plugins.load(point, name)) is not None


def test_a_misspelt_plugin_is_refused_with_the_nearest():
    assert plugins.find("methods", "dkd").name == "dkd"
    with pytest.raises(PluginNotFound, match="'dkd'"):
        plugins.find("methods", "dkdd")


def test_a_users_file_brings_the_classes_it_defines_and_not_those_it_imports(tmp_path):
    (tmp_path / "my_plugins.py").write_text(MINE)
    plugins.use(["my_plugins.py"], tmp_path)
    assert plugins.find("methods", "my_kd").origin == "my_plugins.py"
    assert plugins.find("methods", "kd").origin == "stillhouse"
    assert config.plugin("methods", {"name": "my_kd", "strength": 2.0}, where="x").strength == 2.0


def test_a_file_that_draws_numbers_as_it_is_imported_moves_no_generator(tmp_path):
    draws = "import random, numpy, torch\nrandom.random(); numpy.random.rand(); torch.rand(1)\n"
    (tmp_path / "drawing.py").write_text(draws + MINE)
    before = random_state()
    plugins.use(["drawing.py"], tmp_path)
    torch.testing.assert_close(random_state(), before, rtol=0, atol=0)
    exec(draws)
    assert not torch.equal(random_state()["torch"], before["torch"])


def test_a_users_package_is_found_too(tmp_path):
    package = tmp_path / "house_plugins_for_test"
    package.mkdir()
    (package / "__init__.py").write_text(MINE)
    plugins.use(["house_plugins_for_test"], tmp_path)
    assert "my_kd" in plugins.available("methods")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "defines no plugin"),
        (MINE.replace("MyKD", "KDD").replace("KDD", "Dkd"), "taken"),
        ("import nothing_of_that_name", "could not be imported"),
        ("def broken(:", "could not be imported"),
    ],
)
def test_a_file_that_cannot_serve_is_refused(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(textwrap.dedent(text))
    with pytest.raises(SettingsError, match=said):
        plugins.use(["mine.py"], tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.py"):
        plugins.use(["absent.py"], tmp_path)


@pytest.mark.parametrize("word", ["name", "weight"])
def test_a_setting_that_params_yaml_uses_itself_is_refused(tmp_path, word):
    (tmp_path / "mine.py").write_text(MINE.replace("strength: float", f"{word}: float"))
    with pytest.raises(SettingsError, match=f"MyKD takes a setting '{word}'"):
        plugins.use(["mine.py"], tmp_path)
    (tmp_path / "mine.py").write_text(MINE.replace("strength: float", "norm: float"))
    plugins.use(["mine.py"], tmp_path)
    assert "my_kd" in plugins.available("methods")


@pytest.mark.parametrize("point", list(plugins.POINTS))
def test_no_built_in_plugin_takes_a_setting_that_params_yaml_uses_itself(point):
    reserved = set(plugins.RESERVED.get(point, ("name",)))
    taken = {
        name: reserved & set(config.parameters(plugins.load(point, name)))
        for name in plugins.available(point)
    }
    assert taken
    assert not any(taken.values()), taken


def test_two_files_of_one_name_in_two_folders_do_not_take_each_others_place(tmp_path):
    for folder, made in (("a", "First"), ("b", "Second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(MINE.replace("MyKD", made))
    plugins.use(["a/mine.py", "b/mine.py"], tmp_path)
    assert [plugins.load("methods", name).__name__ for name in ("first", "second")] == [
        "First",
        "Second",
    ]
