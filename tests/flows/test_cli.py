import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse import __version__


def run(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; from stillhouse_flows.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words", [("rum",), ("run", "--sett", "a=1"), ("promote", "two"), ("rollback",)]
)
def test_what_cannot_be_meant_ends_with_two(tmp_path: Path, words: tuple[str, ...]):
    done = run(tmp_path, *words)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_told(tmp_path: Path):
    assert run(tmp_path, "--version").stdout == f"stillhouse {__version__}\n"


def test_a_step_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path):
    done = run(tmp_path, "step", "destill")
    assert (done.returncode, "'distill'" in done.stderr) == (2, True)


def test_an_unknown_failpoint_is_refused_before_anything_happens(tmp_path: Path):
    done = run(tmp_path, "status", STILLHOUSE_FAILPOINTS="release.after_apend=kill")
    assert (done.returncode, "release.after_append" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
