"""Small promises about the whole: light start, graph and steps agree, exported names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stillhouse import plugins
from stillhouse.steps import all as steps

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "prefect",
    "mlflow",
    "dvc",
    "great_expectations",
    "optuna",
    "onnxruntime",
    "sklearn",
    "pandas",
)
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_help_imports_nothing_heavy():
    lines = [
        "import sys",
        "from stillhouse_flows.cli import main",
        "try:",
        "    main(['--help'])",
        "except SystemExit:",
        "    pass",
    ]
    code = "\n".join(
        [*lines, f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", steps.NAMES)
def test_a_stage_agrees_with_what_its_step_declares(name):
    step, stage = steps.load()[name], GRAPH[name]
    deps = {d for d in stage["deps"] if d.startswith("artifacts/")}
    assert deps == {f"artifacts/{r}" for r in step.reads}
    assert set(stage["outs"]) == {
        f"artifacts/{name}/{w}" for w in (*step.writes, f"{name}.timing.json")
    }
    assert stage["metrics"] == [f"artifacts/{name}/metrics.json"]
    sections = {p for p in stage["params"] if isinstance(p, str)}
    assert set(step.sections) <= sections
    assert stage["cmd"] == f"stillhouse step {name}"


def test_the_champion_is_an_input_of_gate_and_report_only():
    readers = [name for name, stage in GRAPH.items() if any("champion" in d for d in stage["deps"])]
    assert readers == ["gate", "report"]


def test_only_the_teacher_reads_withheld_targets():
    readers = [name for name, stage in GRAPH.items() if any("withheld" in d for d in stage["deps"])]
    assert readers == ["teacher"]


@pytest.mark.parametrize("name", sorted(plugins.available("methods")))
def test_a_method_has_its_card_and_its_test(name):
    assert (ROOT / "docs" / "methods" / f"{name}.md").is_file()
    assert (ROOT / "tests" / "distillation" / "methods" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("name", sorted(plugins.available("attacks")))
def test_an_attack_has_its_card_and_its_test(name):
    assert (ROOT / "docs" / "attacks" / f"{name}.md").is_file()
    assert list((ROOT / "tests" / "attacks").rglob(f"test_{name}.py"))


@pytest.mark.parametrize("name", sorted(plugins.available("views")))
def test_a_view_has_its_card_and_its_test(name):
    assert (ROOT / "docs" / "views" / f"{name}.md").is_file()
    assert (ROOT / "tests" / "data" / "views" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("point", ["teachers", "architectures"])
def test_teachers_and_architectures_have_their_cards_and_tests(point):
    for name in plugins.available(point):
        assert (ROOT / "docs" / point / f"{name}.md").is_file(), name
        assert (ROOT / "tests" / point / f"test_{name}.py").is_file(), name


def test_no_file_is_longer_than_four_hundred_lines():
    long = [
        str(p.relative_to(ROOT))
        for root in ("components", "flows")
        for p in (ROOT / root).rglob("*.py")
        if p.read_text().count("\n") > 400
    ]
    assert long == []


def test_the_readme_names_every_command():
    from typer.main import get_command

    from stillhouse_flows.cli import app

    text = (ROOT / "README.md").read_text()
    assert [
        c for c in get_command(app).commands if not re.search(rf"`stillhouse {c}\b", text)
    ] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda p: p.name
)
def test_the_readme_or_a_guide_shows_an_example_as_it_is_run(path):
    pages = [ROOT / "README.md", *(ROOT / "docs" / "guide").glob("*.md")]
    assert any(path.read_text().strip() in page.read_text() for page in pages)
