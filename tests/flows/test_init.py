import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml
from flows.intake import files

from stillhouse import params, plugins
from stillhouse.errors import UsageError
from stillhouse.pipeline import Project
from stillhouse.pipeline.begin import dvc_yaml
from stillhouse_flows.init import Begun, Wish, begin, name_of
from stillhouse_flows.intake.hints import Hints

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _the_process_as_it_was(tmp_path: Path):
    """`init` settles the environment for its workspace, as every command does."""
    environ, place, mask = dict(os.environ), tempfile.tempdir, os.umask(0o022)
    yield
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = place
    os.umask(mask)
    plugins.use([], tmp_path)


def begun(root: Path, **wish: object) -> Begun:
    return begin(Wish(root, **wish))  # type: ignore[arg-type]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("kind", ["image", "table", "series"])
def test_without_data_ours_stand_in_and_every_setting_is_checked(tmp_path: Path, kind: str):
    made = begun(tmp_path, hints=Hints(kind=kind))
    assert made.kind == kind
    assert Project.open(tmp_path).model == name_of(tmp_path)
    assert made.dvc == "without git"


def test_a_torch_module_of_the_users_is_the_student(tmp_path: Path):
    begun(tmp_path, torch=True)
    assert Project.open(tmp_path).params["distill"]["student"]["name"] == "my_student"
    assert "class MyStudent(Architecture)" in (tmp_path / "my_plugins.py").read_text()


@pytest.mark.parametrize(
    "make",
    [files.hospital, files.crashes, files.gas, files.price, files.watch, files.signs, files.words],
)
def test_data_of_any_kind_give_settings_that_are_valid_at_once(tmp_path: Path, make):
    begun(tmp_path, data=make(tmp_path))
    project = Project.open(tmp_path)
    assert project.params["plugins"] == ["my_plugins.py"]
    assert "\n  # " in (tmp_path / "params.yaml").read_text()


def test_in_a_repository_dvc_is_begun_there_and_phones_nobody(tmp_path: Path):
    git(tmp_path, "init", "-q")
    made = begun(tmp_path, data=files.gas(tmp_path))
    assert made.dvc == "in git"
    config = (tmp_path / ".dvc" / "config").read_text()
    assert [f"{name} = False" in config for name in ("analytics", "check_update", "autostage")] == [
        True
    ] * 3
    assert (tmp_path / ".github" / "workflows" / "stillhouse.yml").is_file()


def test_in_a_folder_of_a_repository_dvc_and_the_workflow_know_it(tmp_path: Path):
    git(tmp_path, "init", "-q")
    root = tmp_path / "models" / "gas"
    root.mkdir(parents=True)
    assert begun(root, data=files.gas(tmp_path)).dvc == "in a folder of git"
    [path] = (tmp_path / ".github" / "workflows").iterdir()
    job = yaml.safe_load(path.read_text())["jobs"]["receipt"]
    assert job["defaults"]["run"]["working-directory"] == "models/gas"


def test_nothing_is_overwritten_unless_it_is_said(tmp_path: Path):
    path = files.gas(tmp_path)
    (tmp_path / "params.yaml").write_text("mine: 1\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"params.yaml is there already; nothing was written"):
        begun(tmp_path, data=path)
    assert sorted(tmp_path.rglob("*")) == before
    begun(tmp_path, data=path, force=True)
    assert "gas.csv" in (tmp_path / "params.yaml").read_text()


def test_lines_of_the_users_gitignore_stay_and_ours_are_added_once(tmp_path: Path):
    (tmp_path / ".gitignore").write_text("/artifacts/\n*.log")
    begun(tmp_path)
    text = (tmp_path / ".gitignore").read_text()
    assert text.startswith("/artifacts/\n*.log\n/.stillhouse/\n")
    made = begun(tmp_path, force=True)
    assert (tmp_path / ".gitignore").read_text() == text
    assert {"params.yaml", "dvc.yaml", ".gitignore"} <= set(made.kept)


def test_the_graph_that_is_written_is_the_one_that_this_repository_runs():
    def plain(text: str) -> dict[str, dict[str, object]]:
        stages = yaml.safe_load(text)["stages"]
        return {
            name: {
                key: sorted(map(str, value)) if isinstance(value, list) else value
                for key, value in stage.items()
            }
            for name, stage in stages.items()
        }

    assert plain(dvc_yaml()) == plain((ROOT / "dvc.yaml").read_text())


def test_a_comment_of_params_yaml_never_hides_a_setting(tmp_path: Path):
    begun(tmp_path, data=files.hospital(tmp_path))
    found = params.parse((tmp_path / "params.yaml").read_text())
    assert list(found) == [
        *("model", "plugins", "prepare", "validate", "teacher", "knowledge", "tune", "distill"),
        *("export", "robustness", "gate", "report", "release"),
    ]
