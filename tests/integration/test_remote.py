"""What DVC keeps outlives the workspace: deleted results come back, and a teammate's clone takes
them over.
"""

import shutil
from pathlib import Path

import pytest
from integration.conftest import First
from integration.house import CLOCKS, STEPS, House, states

from stillhouse import environment


def test_deleted_results_and_a_deleted_lock_are_brought_back_by_dvc_alone(
    house: House,
):
    before = house.hashes()
    lock = (house.root / "dvc.lock").read_bytes()
    shutil.rmtree(house.root / "artifacts")
    (house.root / "dvc.lock").unlink()
    done = house.dvc("repro")
    assert [name for name in STEPS if f"Stage '{name}' is cached" in done.out] == list(STEPS)
    assert (house.root / "dvc.lock").read_bytes() == lock
    assert house.hashes() == before


def test_without_a_cache_dvc_alone_computes_the_same_results_again(
    house: House, first: First, repeated: House
):
    """The other project has no flow, no cache and no lock of the first one's."""
    again = {n: h for n, h in repeated.hashes().items() if not n.endswith(CLOCKS)}
    assert again == {n: h for n, h in first.hashes.items() if not n.endswith(CLOCKS)}
    assert len(again) > 30
    assert repeated.recorded() == house.recorded()


@pytest.mark.stories
def test_a_teammates_clone_pulls_and_finds_nothing_to_do(house: House, place: Path):
    """Git, the remote and the registry are all that a teammate shares with us."""
    store = place / "the remote"
    house.git("commit", "-q", "--allow-empty", "-am", "What was made")
    house.dvc("remote", "add", "-q", "--local", "-d", "team", store)
    house.dvc("push", "-q")
    house.git("clone", "-q", house.root, place / "the clone")
    clone = House(place / "the clone", place / "home of the clone")
    clone.home.mkdir()
    clone.dvc("remote", "add", "-q", "--local", "-d", "team", store)
    clone.dvc("pull", "-q")
    assert clone.hashes() == house.hashes()
    shared = {"MLFLOW_TRACKING_URI": environment.place(house.root).tracking_uri}
    told = clone.json("run", env=shared)
    assert (told["outcome"], told["version"]) == ("unchanged", 1)
    assert states(told) == dict.fromkeys(STEPS, "unchanged")
    assert clone.git("status", "--porcelain") == ""
    assert not (clone.root / ".stillhouse" / "prefect" / "server.log").exists()


def test_the_present_champion_alone_cannot_be_practised_on_and_is_told_in_the_history(
    house: House,
):
    found = house.json("history")
    assert [(r["version"], r["kind"], r["until"]) for r in found["champions"]] == [
        (1, "promote", None)
    ]
    assert found["champions"][0]["command"] == "stillhouse run"
    refused = house.stillhouse("drill", code=3)
    assert "no earlier champion" in refused.said
