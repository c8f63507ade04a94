"""What the guide shows is a file, and the file works: settings are checked, scripts are run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from flows.intake import files

from stillhouse import plugins
from stillhouse.pipeline import settings
from stillhouse.steps import all as steps_of

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
SHOWN = sorted((ROOT / "docs" / "examples" / "guide").iterdir())
FENCE = re.compile(
    r"(?:^<!-- (?P<file>\S+) -->\n)?^```(?P<what>python|yaml|bash)\n(?P<text>.*?)\n```$",
    re.M | re.S,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_a_file_that_a_test_runs(page: Path):
    for block in FENCE.finditer(page.read_text()):
        assert block["file"], f"a block without its file: {block['text'][:60]}"
        assert block["text"] == (ROOT / block["file"]).read_text().strip()


def test_every_file_of_the_guide_is_shown():
    text = "\n".join(page.read_text() for page in PAGES)
    assert [path.name for path in SHOWN if f"docs/examples/guide/{path.name} -->" not in text] == []


@pytest.mark.parametrize("path", [p for p in SHOWN if p.suffix == ".yaml"], ids=lambda p: p.stem)
def test_settings_of_the_guide_are_valid(path: Path, tmp_path: Path):
    for mine in (*(ROOT / "docs" / "examples").glob("*.py"), *SHOWN):
        (tmp_path / mine.name).write_bytes(mine.read_bytes())
    shown, params = (
        yaml.safe_load(path.read_text()),
        yaml.safe_load((ROOT / "params.yaml").read_text()),
    )
    for section, value in shown.items():
        partly = section in ("prepare", "distill") and isinstance(value, dict)
        params[section] = {**params[section], **value} if partly else value
    try:
        checked = settings.check(params, steps_of.load(), tmp_path)
    finally:
        plugins.use([], ROOT)
    assert set(shown) <= set(checked)


@pytest.mark.parametrize("name", ["arrays", "answers"])
def test_scripts_of_the_guide_run(name: str, tmp_path: Path):
    path = ROOT / "docs" / "examples" / "guide" / f"{name}.py"
    subprocess.run([sys.executable, str(path)], cwd=tmp_path, check=True, capture_output=True)
    assert [found.suffix for found in tmp_path.iterdir()] == [".npz"]


def _begin(tmp_path: Path, commands: list[str]) -> list[int]:
    table = files.hospital(tmp_path)
    table.write_text(table.read_text().replace("readmitted", "outcome"))
    table.rename(tmp_path / "patients.csv")
    bin_ = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return [
        subprocess.run(line.split(), cwd=tmp_path, env={**os.environ, "PATH": bin_}).returncode
        for line in commands
    ]


def test_the_first_ten_minutes_begin_as_they_are_shown(tmp_path: Path):
    commands = (ROOT / "docs" / "examples" / "guide" / "begin.sh").read_text().splitlines()
    assert _begin(tmp_path, commands[:2]) == [0, 0]
    assert (tmp_path / "params.yaml").is_file()


@pytest.mark.stories
def test_the_first_ten_minutes_end_with_a_receipt(tmp_path: Path):
    commands = (ROOT / "docs" / "examples" / "guide" / "begin.sh").read_text().splitlines()
    codes = _begin(tmp_path, commands)
    assert codes[:2] == [0, 0]
    assert codes[2] in (0, 3)
    assert (tmp_path / "artifacts" / "report" / "receipt.html").is_file()
