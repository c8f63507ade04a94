"""Two runs at once in one workspace, and what a kill tears: locks, journals, flow runs that nobody
closed.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faults import rooms
from faults.flow import small
from faults.invariants import Case, Science, breaches, science, stopped
from faults.tally import TALLY
from integration.house import BIN, House, states

from stillhouse import environment
from stillhouse.failpoints import STEPS
from stillhouse.pipeline.stages import Stages
from stillhouse.release.registry import Registry
from stillhouse_flows import databases, orphans, server
from stillhouse_flows.orphans import _ask


def started(house: House, name: str) -> "subprocess.Popen[str]":
    env = {
        **{n: os.environ[n] for n in ("PYTHONPATH", "LANG") if n in os.environ},
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(house.home),
        "DVC_SITE_CACHE_DIR": str(house.root / ".stillhouse" / "dvc"),
    }
    with (house.home.parent / f"{name}.err").open("w") as err:
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
def test_of_two_commands_at_one_moment_one_waits_is_told_for_whom_and_finds_the_work_done(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "one house")
    began = time.monotonic()
    processes = [started(house, name) for name in ("first", "second")]
    told = [json.loads(process.communicate(timeout=400)[0]) for process in processes]
    TALLY.fault("two at once")
    said = [
        " ".join((tmp_path / f"{name}.err").read_text().split()) for name in ("first", "second")
    ]
    assert [process.returncode for process in processes] == [0, 0], said
    by_outcome = {each["outcome"]: at for at, each in enumerate(told)}
    assert set(by_outcome) == {"promoted", "unchanged"}
    did, waited = by_outcome["promoted"], by_outcome["unchanged"]
    assert f"pid {processes[did].pid}" in said[waited]
    assert set(states(told[did]).values()) == {"ran"}
    assert set(states(told[waited]).values()) == {"unchanged"}
    case = Case(house, unhurt, (told[waited], 0), (), [time.monotonic() - began])
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
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "a torn house")
    databases.seed(house.root)
    assert rooms.finished(rooms.start("retrain", house.root, "tuning.after_tell=kill@2"), 300) == -9
    [journal] = (house.root / ".stillhouse/work/tune").rglob("journal.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    (house.root / ".dvc/tmp/rwlock").write_text('{"write": {"/to')
    (house.root / ".code.lock.json.999999999.1.part").write_text("half")
    TALLY.fault("torn journal")
    TALLY.fault("torn rwlock")
    assert ended_well(house) == "promoted"
    assert breaches(Case(house, unhurt)) == []


def ended_well(house: House) -> str:
    """Retrain to the end and return the outcome."""
    code = rooms.finished(rooms.start("retrain", house.root), 300)
    assert code == 0, rooms.error(house.root)
    return str(json.loads(rooms.words(house.root))["outcome"])


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


@pytest.mark.faults
def test_two_runs_at_once_run_no_step_twice_and_both_are_told_the_truth(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "one house")
    told = [house.root.parent / name for name in ("first.told", "second.told")]
    processes = [rooms.start("retrain", house.root, told=path) for path in told]
    assert [rooms.finished(process, 300) for process in processes] == [0, 0]
    TALLY.fault("two at once")
    said = [json.loads(path.read_text()) for path in told]
    assert sorted(each["outcome"] for each in said) == ["promoted", "unchanged"]
    ran = Counter(n for each in said for n, state in each["states"].items() if state == "ran")
    assert ran == dict.fromkeys(STEPS, 1)
    assert breaches(Case(house, unhurt)) == []


@pytest.mark.faults
def test_two_clones_that_share_a_registry_make_one_version_and_one_champion(
    tmp_path: Path, unhurt: Science
) -> None:
    clones = [small(tmp_path / name) for name in ("a clone", "another clone")]
    databases.seed(tmp_path)
    uri = f"sqlite:///{tmp_path / '.stillhouse' / 'mlflow.db'}"
    for clone in clones:
        with (clone.root / ".env").open("a") as file:
            file.write(f"MLFLOW_TRACKING_URI={uri}\n")
    processes = [rooms.start("retrain", clone.root) for clone in clones]
    codes = [rooms.finished(process, 300) for process in processes]
    assert codes == [0, 0], [rooms.error(clone.root) for clone in clones]
    TALLY.fault("two clones at once")
    said = [json.loads(rooms.words(clone.root)) for clone in clones]
    registry = Registry.open(
        replace(environment.place(tmp_path), tracking_uri=uri), clones[0].registry().model
    )
    state = registry.state()
    assert {each["outcome"] for each in said} <= {"promoted", "unchanged"}
    assert {each["version"] for each in said} == {state.champion} == {1}
    assert len(state.effective) == 1
    assert len([v for v in registry.versions() if v.duplicate_of is None]) == 1
    assert [science(clone).files for clone in clones] == [unhurt.files] * 2


@pytest.mark.faults
def test_dvc_beside_a_run_says_for_whom_and_the_run_ends_as_if_alone(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "a busy house")
    databases.seed(house.root)
    points = "step.validate.after_record=stop;training.batch=stop@9"
    process = rooms.start("retrain", house.root, points)
    said = []
    for _ in range(2):  # between two steps, and in the middle of one
        wait_for(lambda: stopped(process.pid or 0))
        beside = house.do(BIN / "dvc", "repro", "teacher")
        assert beside.code != 0, beside.said
        said.append(beside.said)
        os.kill(process.pid or 0, signal.SIGCONT)
        time.sleep(0.05)
    TALLY.fault("dvc repro beside a run", count=2)
    assert f"held by a test (pid {process.pid}" in said[0]
    assert str(process.pid) in said[1]
    assert "is busy" in said[1]
    assert rooms.finished(process, 300) == 0, rooms.error(house.root)
    told = json.loads(rooms.words(house.root))
    assert set(told["states"].values()) == {"ran"}
    assert breaches(Case(house, unhurt, (told, 0))) == []


@pytest.mark.faults
def test_a_run_beside_dvc_waits_for_its_step_and_does_not_run_it_again(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "a house that DVC began")
    databases.seed(house.root)
    house.stillhouse("lock")
    path = f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin"
    env = {"STILLHOUSE_FAILPOINTS": "training.batch=stop@9", "PATH": path}
    beside = subprocess.Popen(
        [BIN / "dvc", "repro", "-q"],
        cwd=house.root,
        env={**env, "HOME": str(house.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lock = house.root / ".stillhouse" / "lock"
    wait_for(lambda: lock.is_file() and "step teacher" in lock.read_text())
    step = int(lock.read_text().partition("(pid ")[2].partition(",")[0])
    wait_for(lambda: stopped(step))
    process = rooms.start("retrain", house.root)
    process.join(3)
    assert process.exitcode is None
    os.kill(step, signal.SIGCONT)
    TALLY.fault("a run beside dvc repro")
    assert rooms.finished(process, 300) == 0, rooms.error(house.root)
    beside.wait(60)
    told = json.loads(rooms.words(house.root))
    assert {told["states"][name] for name in ("prepare", "validate", "teacher")} == {"unchanged"}
    assert breaches(Case(house, unhurt, (told, 0))) == []


def wait_for(happens: Callable[[], bool], seconds: float = 400.0) -> None:
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)
