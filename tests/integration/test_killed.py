"""Stopped anywhere and started again, a run ends with the same weights and one champion."""

import pytest
from integration.conftest import First
from integration.stories import BLOWS, Killed
from mlflow import MlflowClient


@pytest.mark.parametrize("blow", [blow for blow, _ in BLOWS])
def test_a_blow_ends_the_run_at_once_without_leaving_a_process(killed: Killed, blow: str):
    assert killed.ends[blow].out == "" or '"error"' in killed.ends[blow].out
    assert "Traceback" not in killed.ends[blow].said
    assert killed.left[blow] == []


def test_the_run_after_the_blows_has_one_version_and_one_champion(killed: Killed):
    assert (killed.last["outcome"], killed.last["version"]) in {("promoted", 1), ("unchanged", 1)}
    status = killed.house.json("status")
    assert (
        status["champion"]["version"],
        status["previous"],
        status["aliases_agree"],
        status["stale"],
    ) == (1, None, True, [])
    assert status["ledger"]["effective"] == 1
    assert len(killed.house.registry().versions()) == 1


def test_the_run_after_the_blows_has_the_weights_of_a_run_without_any(killed: Killed, first: First):
    expected = {
        name: digest for name, digest in first.hashes.items() if name.endswith(".safetensors")
    }
    assert len(expected) >= 8
    assert killed.house.hashes("*.safetensors") == expected
    assert killed.house.recorded() == first.recorded


def test_no_run_is_left_running_in_mlflow_and_every_trial_is_there_once(killed: Killed):
    uri = f"sqlite:///{killed.house.root / '.stillhouse' / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    assert [r.info.status for r in runs if "mlflow.parentRunId" not in r.data.tags] == ["FINISHED"]
    studies = killed.house.artifact("tune/trials.json")["studies"]
    trials = sorted(
        f"{arm}/trial-{trial['number']}"
        for arm, study in studies.items()
        for trial in study["trials"]
    )
    assert sorted(run.info.run_name for run in runs if "/trial-" in run.info.run_name) == trials


def test_no_half_written_file_and_no_process_is_left(killed: Killed):
    assert [p for p in killed.house.root.rglob("*.part")] == []
    assert [
        p
        for name in ("new", "old", "work")
        for p in (killed.house.root / ".stillhouse" / name).rglob("*")
        if p.is_file()
    ] == []
    assert killed.house.left_running() == []
