"""The page about fast studies shows a loop that works."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_loop_of_the_page_trains_its_students(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "docs/examples/guide/together.py"))
    scores = [line for line in capsys.readouterr().out.splitlines() if "val_score" in line]
    assert len(scores) == 3
