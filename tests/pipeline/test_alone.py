"""One step alone, beside others: it waits for a run, but never for one that may wait for DVC."""

import os
import subprocess
from pathlib import Path

from integration.house import BIN, House, project

from stillhouse.workspace import Workspace


def step(house: House, **env: str) -> "subprocess.Popen[str]":
    around = {"PATH": os.environ["PATH"], "HOME": str(house.home), **env}
    return subprocess.Popen(
        [BIN / "stillhouse", "step", "prepare"],
        cwd=house.root,
        env=around,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_step_waits_for_a_run_of_its_workspace_unless_dvc_started_it(tmp_path: Path) -> None:
    house = project(tmp_path / "a house", {})
    with Workspace(house.root).lock(holder="stillhouse run"):
        by_hand, by_dvc = step(house), step(house, DVC_STAGE="prepare")
        said = by_dvc.communicate(timeout=60)[1]
        assert by_dvc.returncode == 1
        assert f"held by stillhouse run (pid {os.getpid()}" in " ".join(said.split())
        assert by_hand.stderr is not None
        told = by_hand.stderr.readline()
        assert by_hand.poll() is None
    said = told + by_hand.communicate(timeout=60)[1]
    assert by_hand.returncode == 2, "free, it goes on, and finds that nothing was locked"
    assert f"pid {os.getpid()}" in " ".join(said.split())
    assert "stillhouse lock" in " ".join(said.split())
