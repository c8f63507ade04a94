"""The guides' tables of distillation are what the benchmarks measured."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "distillation"
RESULTS = FOLDER / "results"
Load = Callable[[str], ModuleType]


def told(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text())


def page(name: str) -> str:
    return (ROOT / "docs" / "guide" / name).read_text()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a script as it is run in its folder; nothing of the folder stays."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_tables_of_studies_are_what_was_measured(script: Load) -> None:
    tables = script("study_tables")
    studies = [told(path.name) for path in sorted(RESULTS.glob("study-*.json"))]
    whole = [study for study in studies if study["rows"]]
    assert whole
    assert tables.times(whole) in page("fast-study.md")
    assert tables.reached(whole) in page("fast-study.md")


def test_the_table_of_compiled_steps_is_what_was_measured(script: Load) -> None:
    assert script("compiled").markdown(told("compiled.json")) in page("devices.md")


def test_the_table_of_memory_is_what_was_measured_and_within_its_bound(script: Load) -> None:
    memory = told("memory.json")
    assert script("memory").markdown(memory) in page("fast-study.md")
    for row in memory["rows"]:
        assert row["peak_mib"] < row["bound_mib"], row["line"]


def test_the_tables_of_what_is_learned_are_what_was_measured(script: Load) -> None:
    text = page("choose-what-is-learned.md")
    assert script("flips").markdown(told("flips.json")["divisions"]) in text
    assert script("planted").markdown(told("planted.json")["tables"]) in text
    for rows in told("robust.json")["tables"].values():
        assert script("robust").markdown(rows) in text
    sets = told("quality.json")["sets"]
    assert sets
    for each in sets.values():
        assert script("quality").markdown(each) in text


def test_useless_teachers_are_exposed_and_the_real_one_is_found() -> None:
    for each in told("planted.json")["tables"]:
        for row in each["rows"]:
            wanted = row["of"] if row["teacher"] == "real" else 0
            assert abs(row["helpful"] - wanted) <= 0.05 * row["of"], row
