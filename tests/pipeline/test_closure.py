"""What makes a step stale: the sources that it can reach, and no others."""

from pathlib import Path

import pytest

from stillhouse import plugins
from stillhouse.pipeline import lockfile
from stillhouse.pipeline.closure import BUILDS, PACKAGE, Imports, plugin_files
from stillhouse.steps import all as steps
from stillhouse.workspace import Workspace

PARAMS = {
    "prepare": {"source": {"name": "digits"}},
    "teacher": {"name": "fit", "architecture": {"name": "mlp"}},
    "distill": {"student": {"name": "mlp"}, "method": {"name": "kd"}, "selector": {"name": "all"}},
    "robustness": {"attacks": [{"name": "pgd", "norm": "linf", "epsilon": 0.1}]},
}
METHOD = """
from stillhouse.distillation.method import Method


class {name}(Method):
    def forward(self, student, teacher, batch):
        return student.logits.sum(dim=1)
"""


@pytest.fixture(autouse=True)
def _no_plugins():
    yield
    plugins.use([], Path())


def names(step: str, params: dict) -> set[str]:
    return {path.name for path in plugin_files(step, params)}


def digests(root: Path, params: dict) -> dict[str, str]:
    return lockfile.code_lock(Workspace(root), steps.NAMES, params)["steps"]


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [step for step in before if before[step] != after[step]]


def test_every_step_says_what_it_builds():
    assert tuple(BUILDS) == steps.NAMES
    assert {point for built in BUILDS.values() for point in built} == set(plugins.POINTS)


def test_a_method_that_nothing_names_is_no_part_of_any_step(tmp_path: Path):
    files = lockfile.code_lock(Workspace(tmp_path), steps.NAMES, PARAMS)["files"]
    assert "stillhouse/distillation/methods/kd.py" in files
    assert "stillhouse/distillation/methods/dkd.py" not in files


def test_the_control_hard_learns_by_ce_whatever_the_student_learns_by():
    assert {"ce.py", "kd.py"} <= names("distill", PARAMS)
    assert {"ce.py", "kd.py"} <= names("tune", PARAMS)


def test_every_alternative_of_a_search_space_counts():
    space = {
        "choice": [{"name": "combine", "parts": [{"name": "dist", "weight": 1.0}]}, {"name": "dkd"}]
    }
    assert {"combine.py", "dist.py", "dkd.py"} <= names(
        "tune", {**PARAMS, "distill": {**PARAMS["distill"], "method": space}}
    )


def test_another_student_makes_no_teacher_stale(tmp_path: Path):
    other = {**PARAMS, "distill": {**PARAMS["distill"], "student": {"name": "convnet"}}}
    assert changed(digests(tmp_path, PARAMS), digests(tmp_path, other)) == [
        "tune",
        "distill",
        "export",
        "robustness",
    ]


def test_a_changed_teacher_of_a_users_own_makes_stale_all_that_ask_it(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from stillhouse.teachers.teacher import Teacher\n\n\nclass Oracle(Teacher):\n    "
        "answer = 1\n"
    )
    plugins.use(["mine.py"], tmp_path)
    params = {**PARAMS, "teacher": {"name": "oracle"}}
    before = digests(tmp_path, params)
    file.write_text(file.read_text().replace("answer = 1", "answer = 23"))
    assert changed(before, digests(tmp_path, params)) == [
        "teacher",
        "knowledge",
        "tune",
        "distill",
        "robustness",
    ]
    assert changed(digests(tmp_path, PARAMS), digests(tmp_path, PARAMS)) == []


def test_what_a_users_file_imports_from_its_package_counts_however_it_is_imported(tmp_path: Path):
    package = tmp_path / "mylib"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("")
    (package / "losses.py").write_text(
        "from .deep import numbers\n\n\ndef later():\n    import mylib.more\n"
        + METHOD.format(name="Mine")
    )
    (package / "deep" / "numbers.py").write_text("HALF = 0.5\n")
    (package / "more.py").write_text("")
    (package / "unused.py").write_text("")
    reached = Imports(Workspace(tmp_path)).closure({package / "losses.py"})
    mine = {name for name in reached if name.startswith("mylib")}
    assert mine == {
        "mylib/__init__.py",
        "mylib/losses.py",
        "mylib/deep/__init__.py",
        "mylib/deep/numbers.py",
        "mylib/more.py",
    }
    assert "stillhouse/distillation/method.py" in reached


def test_a_changed_file_is_seen_through_the_kept_list(tmp_path: Path):
    file = tmp_path / "one.py"
    file.write_text("import two\n")
    (tmp_path / "two.py").write_text("A = 1\n")
    first = Imports(Workspace(tmp_path))
    before = first.closure({file})
    first.save()
    (tmp_path / "two.py").write_text("A = 1234\n")
    after = Imports(Workspace(tmp_path)).closure({file})
    assert before["one.py"] == after["one.py"]
    assert before["two.py"] != after["two.py"]


def test_the_packages_that_a_module_lies_in_run_too_and_count():
    reached = Imports(Workspace(PACKAGE)).closure({PACKAGE / "steps" / "teacher.py"})
    assert {"stillhouse/__init__.py", "stillhouse/teachers/__init__.py"} <= set(reached)
