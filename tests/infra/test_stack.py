"""The stack that a team stands on, for real: PostgreSQL, MLflow with accounts, Prefect, a worker,
and people who join it with what the guide gives them.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from infra.members import ACCOUNTS, Team, clone, installed
from integration.house import LESS, House, project, states

pytestmark = [
    pytest.mark.stories,
    pytest.mark.skipif(not installed(), reason="PostgreSQL is not installed"),
]
needs_accounts = pytest.mark.skipif(
    not ACCOUNTS, reason="MLflow's accounts need Flask-WTF (mlflow[auth])"
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="a team "))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def anns(place: Path) -> House:
    """Ann's project; its DVC remote is the stack's folder."""
    house = project(place / "ann", LESS)
    house.dvc("remote", "add", "-q", "-d", "team", place / "stack" / "dvc")
    house.commit("Name the team's remote")
    return house


@pytest.fixture(scope="module")
def team(place: Path, anns: House) -> Iterator[Team]:
    stack = Team(place / "stack", anns.root)
    try:
        stack.do("start")
        yield stack
    finally:
        stack.do("remove", "--yes")
    assert not stack.folder.exists()


@pytest.fixture(scope="module")
def promoted(team: Team, anns: House) -> House:
    """Ann joined, ran, committed and pushed."""
    team.joined(anns, "ann")
    told = anns.json("run")
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    anns.commit("The first student")
    anns.dvc("push", "-q")
    return anns


def test_every_part_answers_and_a_second_start_leaves_them_as_they_are(team: Team):
    said = team.do("health").out
    assert said.count("✓") == 4
    before = team.pids()
    team.do("start")
    assert team.pids() == before


def test_no_secret_stands_on_a_command_line_or_in_a_file_that_others_read(team: Team):
    lines = (team.folder / "secrets.env").read_text().splitlines()
    secrets = [line.split("=", 1)[1] for line in lines]
    assert len(secrets) == 4
    words = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert any("mlflow" in line for line in words)
    assert not [line for line in words for secret in secrets if secret in line]
    open_files = [p for p in team.folder.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert open_files == []


def test_a_project_joins_by_its_env_file_and_the_ledger_tells_who(promoted: House):
    told = promoted.json("history")["champions"]
    assert [(r["version"], r["kind"]) for r in told] == [(1, "promote")]
    assert not ACCOUNTS or told[0]["by"].startswith("ann@")


def test_a_teammate_with_git_the_remote_and_the_server_finds_nothing_to_do(
    team: Team, promoted: House
):
    bobs = team.joined(clone(promoted, "bob"), "bob")
    bobs.dvc("pull", "-q")
    told = bobs.json("run")
    assert (told["outcome"], told["version"]) == ("unchanged", 1)
    assert set(states(told).values()) == {"unchanged"}
    assert bobs.recorded() == promoted.recorded()
    assert bobs.json("status")["champion"] == promoted.json("status")["champion"]
    assert bobs.git("status", "--porcelain") == ""
    assert bobs.left_running() == []


@needs_accounts
def test_without_an_account_nobody_reads_or_writes(team: Team, promoted: House):
    stranger = clone(promoted, "a stranger")
    plain = [line for line in team.do("env").out.splitlines() if "MLFLOW_TRACKING_URI" in line]
    (stranger.root / ".env").write_text(plain[0] + "\n")
    refused = stranger.stillhouse("status", code=1)
    assert "Traceback" not in refused.err
    assert "401" in refused.err or "authenticate" in refused.err.lower()


@needs_accounts
def test_who_only_trains_registers_a_student_and_cannot_promote_it(team: Team, promoted: House):
    cleo = team.joined(clone(promoted, "cleo"), "cleo", "--only-trains", "digits")
    cleo.dvc("pull", "-q")
    refused = cleo.stillhouse("run", "--set", "distill.epochs=70", code=1)
    assert "Permission denied" in refused.said
    assert "Traceback" not in refused.err
    state = promoted.json("status")
    assert (state["champion"]["version"], state["ledger"]["entries"]) == (1, 1)
    done = promoted.json("promote", 2)  # it was registered, and who may promote it can
    assert (done["outcome"], done["version"]) == ("promoted", 2)


def test_a_back_up_brings_the_champion_of_its_day_back(team: Team, promoted: House, place: Path):
    before = promoted.json("status")
    team.do("backup", place / "the stack.tar.gz")
    assert (place / "the stack.tar.gz").stat().st_mode & 0o077 == 0
    told = promoted.json("run", "--set", "distill.epochs=80")
    assert told["outcome"] == "promoted"
    assert promoted.json("status")["ledger"]["head"] > before["ledger"]["head"]
    team.do("restore", place / "the stack.tar.gz")
    dora = team.joined(clone(promoted, "dora"), "dora")
    after = dora.json("status")
    assert (after["champion"], after["ledger"]) == (before["champion"], before["ledger"])
    dora.dvc("pull", "-q")
    assert dora.json("predict", rows(dora))["version"] == before["champion"]["version"]
    seen = promoted.stillhouse("run", code=1)  # here a newer head was seen
    assert "was restored" in seen.said


def test_a_file_that_is_no_back_up_is_refused_and_nothing_is_touched(team: Team, place: Path):
    whole, cut = place / "the stack.tar.gz", place / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused = team.do("restore", cut, code=1)
    assert "Traceback" not in refused.err
    assert team.do("health").out.count("✓") == 4


def test_one_command_stops_all_of_it(team: Team):
    ports = json.loads((team.folder / "ports.json").read_text())
    families = [
        psutil.Process(json.loads(text)["pid"]).children(recursive=True)
        for text in team.pids().values()
    ]
    assert "postgres" in team.do("stop").out
    assert not [p for family in families for p in family if p.is_running()]
    for port in ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # answered ones linger
            probe.bind(("127.0.0.1", port))
    assert team.do("health", code=1).out.count("✕") == 4
    assert "nothing ran" in team.do("stop").out


def rows(house: House) -> Path:
    """Write two rows of the test set as a user's file."""
    import numpy as np

    from stillhouse.workspace import load_tensors

    inputs = load_tensors(house.root / "artifacts" / "prepare" / "test.safetensors")["inputs"]
    path = house.root / ".stillhouse" / "rows.npz"
    np.savez(path, inputs=inputs[:2].numpy())
    return path
