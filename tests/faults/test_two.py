"""Two runs at once in one workspace, and what a kill tears: locks, journals, flow runs that nobody
closed.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from faults.flow import run, small
from faults.invariants import Case, breaches, science
from faults.tally import TALLY
from integration.house import BIN, House, states

from stillhouse.pipeline.stages import Stages
from stillhouse_flows import databases, orphans, server
from stillhouse_flows.orphans import _ask


def started(house: House, name: str) -> "subprocess.Popen[str]":
    env = {
        **{n: os.environ[n] for n in ("PYTHONPATH", "LANG") if n in os.environ},
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(house.home),
        "DVC_SITE_CACHE_DIR": str(house.root / ".stillhouse" / "dvc"),
    }
    err = (house.home.parent / f"{name}.err").open("w")
    return subprocess.Popen(
        [BIN / "stillhouse", "run", "--json"],
        cwd=house.root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=err,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.faults
def test_a_second_run_waits_is_told_for_whom_and_finds_the_work_done(tmp_path: Path) -> None:
    house = small(tmp_path / "one house")
    began = time.monotonic()
    first = started(house, "first")
    while (
        not (house.root / ".stillhouse/lock").is_file()
        or not (house.root / ".stillhouse/lock").read_text()
    ):
        time.sleep(0.05)
    second = started(house, "second")
    told = [json.loads(process.communicate(timeout=400)[0]) for process in (first, second)]
    TALLY.fault("two at once")
    said = (tmp_path / "second.err").read_text()
    assert [process.returncode for process in (first, second)] == [0, 0], said
    assert f"pid {first.pid}" in said
    assert (told[0]["outcome"], set(states(told[0]).values())) == ("promoted", {"ran"})
    assert (told[1]["outcome"], set(states(told[1]).values())) == ("unchanged", {"unchanged"})
    case = Case(house, science(house), (told[1], 0), (), [time.monotonic() - began])
    assert breaches(case) == []


def test_a_torn_list_of_dvcs_paths_is_removed_and_told_and_a_whole_one_loses_only_the_dead(
    tmp_path: Path,
) -> None:
    house = small(tmp_path / "a house")
    rwlock = house.root / ".dvc/tmp/rwlock"
    rwlock.parent.mkdir()
    rwlock.write_text('{"write": {}, "read": {}}')
    told: list[str] = []
    stages = Stages(house.root, {}, told.append)
    assert (stages.repo.tmp_dir, told, rwlock.exists()) == (str(rwlock.parent), [], True)
    stages.close()
    dead, living = {"pid": 999_999_999, "cmd": "dvc"}, {"pid": os.getpid(), "cmd": "dvc"}
    rwlock.write_text(
        json.dumps(
            {"write": {"/a": dead, "/b": living}, "read": {"/c": [dead], "/d": [dead, living]}}
        )
    )
    stages = Stages(house.root, {}, told.append)
    assert stages.repo
    stages.close()
    assert json.loads(rwlock.read_text()) == {"write": {"/b": living}, "read": {"/d": [living]}}
    rwlock.write_text('{"write": {"/a/pa')
    stages = Stages(house.root, {}, told.append)
    assert stages.repo
    stages.close()
    TALLY.fault("torn rwlock")
    assert (told, rwlock.exists()) == (
        [".dvc/tmp/rwlock was torn by a kill; it is removed."],
        False,
    )


@pytest.mark.faults
def test_a_torn_journal_a_torn_rwlock_and_leftovers_of_the_dead_do_not_stop_the_next_run(
    tmp_path: Path,
) -> None:
    house = small(tmp_path / "a torn house")
    killed = run(house, points="tuning.after_tell=kill@2")
    assert killed.done.code == -9
    [journal] = (house.root / ".stillhouse/work/tune").rglob("journal.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    (house.root / ".dvc/tmp/rwlock").write_text('{"write": {"/to')
    (house.root / ".code.lock.json.999999999.1.part").write_text("half")
    TALLY.fault("torn journal")
    TALLY.fault("torn rwlock")
    done = run(house)
    assert done.done.code == 0, done.done.said[-2000:]
    whole = small(tmp_path / "a whole house")
    assert run(whole).done.code == 0
    assert (
        breaches(
            Case(
                house,
                science(whole),
                (json.loads(done.done.out), 0),
                (),
                [killed.seconds, done.seconds],
            )
        )
        == []
    )


@pytest.mark.faults
def test_a_flow_run_that_nobody_closed_is_crashed_at_the_next_start_but_not_a_deployments(
    tmp_path: Path,
) -> None:
    databases.seed(tmp_path)
    found = server.start(tmp_path)
    try:
        server.wait(found)
        flow = _ask(f"{found.url}/flows/", {"name": "retrain"})
        running = {"type": "RUNNING", "name": "Running"}
        run_id = _ask(f"{found.url}/flow_runs/", {"flow_id": flow["id"], "state": running})["id"]
        deployment = _ask(f"{found.url}/deployments/", {"name": "weekly", "flow_id": flow["id"]})
        _ask(
            f"{found.url}/flow_runs/",
            {"flow_id": flow["id"], "state": running, "deployment_id": deployment["id"]},
        )
        assert orphans.close(found.url) == 1
        assert orphans.close(found.url) == 0
        [closed] = _ask(f"{found.url}/flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        assert (closed["state"]["type"], closed["state"]["message"]) == ("CRASHED", orphans.WHY)
    finally:
        server.stop(found, tmp_path)
    TALLY.fault("orphaned flow run")
    shutil.rmtree(tmp_path)
