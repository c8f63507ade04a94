"""What is installed: our two packages and nothing else, and it works far from the sources."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from integration.house import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        out,
    ]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdin=subprocess.DEVNULL)
    [path] = out.glob("*.whl")
    return path


def test_the_wheel_holds_our_two_packages_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    [about] = [top for top in tops if top.endswith(".dist-info")]
    assert tops == {"stillhouse", "stillhouse_flows", about}
    assert [
        name for name in names if name.endswith((".pyc", ".DS_Store")) or "/tests/" in name
    ] == []


def test_the_wheel_holds_the_types_the_licence_the_entry_point_and_the_page_of_the_receipt(
    wheel: Path,
):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"stillhouse/py.typed", "stillhouse_flows/py.typed"} <= names
    here = {
        p.relative_to(REPOSITORY / "components").as_posix()
        for p in (REPOSITORY / "components").rglob("*")
        if p.is_file() and p.suffix != ".pyc"
    }
    assert {name for name in here if name.startswith("stillhouse/receipt/")} <= names
    assert any(not name.endswith((".py", "py.typed")) for name in here & names), (
        "the receipt has no template"
    )
    [entries] = [name for name in names if name.endswith("entry_points.txt")]
    assert "stillhouse = stillhouse_flows.cli:main" in zipfile.ZipFile(wheel).read(entries).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_packages_work_far_from_the_sources(wheel: Path, tmp_path: Path):
    installed, elsewhere = tmp_path / "installed", tmp_path / "else where"
    zipfile.ZipFile(wheel).extractall(installed)
    elsewhere.mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(elsewhere),
        "PYTHONPATH": str(installed),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*words: str) -> str:
        script = (
            "import sys, stillhouse, stillhouse_flows.cli as c; print(stillhouse.__file__, "
            "file=sys.stderr); c.main(sys.argv[1:])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            cwd=elsewhere,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.split("\n")[0].startswith(str(installed))
        return done.stdout

    assert "run" in run("--help")
    plugins = json.loads(run("plugins", "--json"))
    assert {"kd", "dkd", "dist", "ce", "combine"} <= {entry["name"] for entry in plugins["methods"]}
    assert {entry["origin"] for point in plugins.values() for entry in point} == {"stillhouse"}
