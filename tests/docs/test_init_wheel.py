"""From the wheel alone, far from the sources: a new repository, `init`, `run`, a receipt."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch
from flows.intake import files
from integration.house import AUTHOR, REPOSITORY

pytestmark = [pytest.mark.integration, pytest.mark.stories]
LESS = ("tune.trials=1", "distill.seeds=2", "distill.epochs=20", "robustness.rows=100")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the wheel, and others' packages, but no sources."""
    place = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--no-deps", "--no-index", "-q"]
    subprocess.run(
        [*pip, "wheel", ".", "--no-build-isolation", *quiet, "-w", place],
        cwd=REPOSITORY,
        check=True,
    )
    venv.create(place / "env", with_pip=False)
    python = place / "env" / "bin" / "python"
    [packages] = (place / "env" / "lib").glob("python*/site-packages")
    # Only the folder: what it says of editable installs is not followed from here.
    (packages / "others.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
    [wheel] = place.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", *quiet, wheel], check=True)
    return python.parent


def do(bin_: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{bin_}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder.parent)}
    return subprocess.run(
        [str(word) for word in words], cwd=folder, env=env, capture_output=True, text=True
    )


@pytest.mark.parametrize("make", [files.hospital, files.watch, files.signs])
def test_a_new_repository_goes_from_a_file_to_a_receipt(installed: Path, tmp_path: Path, make):
    repository = tmp_path / "my repository"
    repository.mkdir()
    assert do(installed, repository, "git", "init", "-q").returncode == 0
    data = make(repository)
    asked = "import stillhouse; print(stillhouse.__file__)"
    assert do(installed, repository, "python", "-c", asked).stdout.startswith(str(installed.parent))
    begun = do(installed, repository, "stillhouse", "init", "--data", data.name, "--json")
    assert begun.returncode == 0, begun.stderr
    assert json.loads(begun.stdout)["dvc"] == "in git"
    for words in (("git", "add", "-A"), ("git", *AUTHOR, "commit", "-qm", "Begin")):
        assert do(installed, repository, *words).returncode == 0
    sets = [word for text in LESS for word in ("--set", text)]
    ran = do(installed, repository, "stillhouse", "run", *sets)
    assert ran.returncode in (0, 3), ran.stderr[-3000:]
    receipt = json.loads((repository / "artifacts" / "report" / "receipt.json").read_text())
    assert receipt["verdict"] in ("promote", "hold", "reject")
    left = do(installed, repository, "git", "status", "--short").stdout.split()
    assert set(left[1::2]) <= {"dvc.lock", "code.lock.json"}
