"""The first run in a house of its own, and every command that reads what it left."""

import json
import os
import stat
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.conftest import First
from integration.house import STEPS, House, states
from mlflow import MlflowClient

from stillhouse.failpoints import DECLARED
from stillhouse.plugins import POINTS
from stillhouse.workspace import sha256


def served(house: House) -> tuple[float, int]:
    """What tells that a server of the house was running: it writes to its database and its log."""
    kept = [p for p in (house.root / ".stillhouse" / "prefect").rglob("*") if p.is_file()]
    return max(p.stat().st_mtime for p in kept), sum(p.stat().st_size for p in kept)


def mlflow(house: House) -> MlflowClient:
    uri = f"sqlite:///{house.root / '.stillhouse' / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


# --- the first run ------------------------------------------------------------------------------


def test_the_first_run_promotes_version_one_and_says_so_in_one_object(house: House, first: First):
    assert first.done.code == 0, first.done.err[-3000:]
    [line] = first.done.out.splitlines()
    told = json.loads(line)
    seconds = [step.pop("seconds") for step in told["steps"]] + [told.pop("seconds")]
    assert all(isinstance(s, float) for s in seconds)
    page = house.root / "artifacts" / "report" / "receipt.html"
    steps = [{"name": name, "state": "ran"} for name in STEPS]
    assert told == {
        "outcome": "promoted",
        "model": "digits",
        "version": 1,
        "receipt": str(page),
        "steps": steps,
    }


def test_people_are_told_each_step_on_stderr_and_how_large_the_student_is(first: First):
    lines = first.done.err.splitlines()
    steps = [line.split() for line in lines if line.strip().startswith("✓")]
    assert [words[1] for words in steps] == list(STEPS), first.done.err
    assert all(words[-1] == "ran" for words in steps)
    [size] = [line for line in lines if not line.strip().startswith("✓")]
    assert "parameters and" in size  # known before the training that it is for


def test_the_first_run_leaves_nothing_running_and_nothing_in_the_home_folder(first: First):
    assert (first.left_running, first.in_home) == ([], [])


def test_no_file_that_the_run_made_can_be_changed_by_others(house: House, first: First):
    made = [
        p
        for top in (".stillhouse", ".dvc", "artifacts", "dvc.lock", "code.lock.json")
        for p in [house.root / top, *(house.root / top).rglob("*")]
    ]
    open_to_all = [
        str(p.relative_to(house.root))
        for p in made
        if not p.is_symlink() and p.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ]
    assert open_to_all == []


def test_no_half_written_file_is_left(house: House, first: First):
    assert [p.name for p in house.root.rglob("*") if p.suffix in (".part", ".tmp")] == []
    assert [
        p
        for name in ("new", "old", "work")
        for p in (house.root / ".stillhouse" / name).rglob("*")
        if p.is_file()
    ] == []


def test_the_run_made_no_file_that_git_would_pick_up_but_the_locks(house: House, first: First):
    assert set(house.git("show", "--stat=200", "--format=", "--name-only", "HEAD").split()) == {
        "code.lock.json",
        "dvc.lock",
    }


# --- what commands tell of it -------------------------------------------------------------------


def test_an_unchanged_project_says_so_without_a_server_and_without_an_entry(
    house: House, first: First
):
    before, ledger = served(house), house.ledger().entries
    runs = len(
        mlflow(house).search_runs([mlflow(house).get_experiment_by_name("digits").experiment_id])
    )
    told = house.json("run")
    assert (told["outcome"], told["version"], set(states(told).values())) == (
        "unchanged",
        1,
        {"unchanged"},
    )
    assert list(states(told)) == list(STEPS)
    assert served(house) == before
    assert house.ledger().entries == ledger == 1
    assert (
        len(
            mlflow(house).search_runs(
                [mlflow(house).get_experiment_by_name("digits").experiment_id]
            )
        )
        == runs
    )


def test_status_tells_the_champion_and_that_nothing_is_stale(house: House):
    told = house.json("status")
    champion = told.pop("champion")
    assert datetime.fromisoformat(champion.pop("since")).tzinfo is not None
    assert len(champion.pop("sha256")) == 64
    assert champion == {"version": 1, "head": 1}
    ledger = {"head": 1, "entries": 1, "effective": 1}
    assert told == {
        "model": "digits",
        "challenger": None,
        "previous": None,
        "ledger": ledger,
        "aliases_agree": True,
        "problems": [],
        "stale": [],
    }


def test_the_receipt_that_is_printed_is_the_file_and_its_hashes_hold(house: House):
    told = house.json("receipt")
    assert told == house.artifact("report/receipt.json")
    assert (told["schema"], told["model"], told["verdict"]) == (1, "digits", "promote")
    assert [arm["name"] for arm in told["arms"]] == ["student", "none", "hard"]
    assert [(gain["over"], gain["seeds"]) for gain in told["teacher_gain"]] == [
        ("none", 3),
        ("hard", 3),
    ]
    assert set(told["files"].values()) <= set(house.hashes().values())
    assert not {"receipt.json", "receipt.html"} & {Path(name).name for name in told["files"]}
    assert house.json("receipt", 1) == told


def test_the_champion_answers_rows_from_a_file(house: House):
    rows = house.home / "rows.npz"
    test = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    np.savez(rows, inputs=test)
    told = house.json("predict", rows)
    rows.unlink()
    assert told["version"] == 1
    assert [set(row) for row in told["rows"]] == [{"class", "probability"}] * 3
    assert all(
        row["class"] in set("0123456789") and 0.1 <= row["probability"] <= 1 for row in told["rows"]
    )


def test_plugins_of_every_point_are_listed_with_their_origin(house: House):
    told = house.json("plugins")
    assert tuple(told) == tuple(POINTS)
    for point in POINTS:
        assert told[point], point
        assert all(
            {"name", "origin", "accepts", "needs"} <= set(entry) and entry["origin"] == "stillhouse"
            for entry in told[point]
        )


def test_failpoints_are_listed(house: House):
    assert house.json("failpoints") == {"failpoints": list(DECLARED)}


def test_the_doctor_finds_nothing_to_mend(house: House):
    checks = house.json("doctor")["checks"]
    assert [set(check) for check in checks] == [{"name", "ok", "detail", "fix"}] * len(checks)
    assert [check for check in checks if not check["ok"]] == []


# --- what MLflow holds --------------------------------------------------------------------------


def test_mlflow_holds_one_finished_run_with_a_child_a_trial(house: House):
    client = mlflow(house)
    assert [e.name for e in client.search_experiments() if e.name != "Default"] == ["digits"]
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    first = min(
        (run for run in runs if "mlflow.parentRunId" not in run.data.tags),
        key=lambda run: run.info.start_time,
    )
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == first.info.run_id]
    assert {run.info.status for run in runs} == {"FINISHED"}
    studies = house.artifact("tune/trials.json")["studies"]
    trials = {
        f"{arm}/trial-{trial['number']}"
        for arm, study in studies.items()
        for trial in study["trials"]
    }
    assert trials <= {run.info.run_name for run in children}
    assert len(children) == len({run.info.run_name for run in children})


def test_mlflow_holds_every_metric_by_its_path_and_the_latency_and_cost(house: House):
    client = mlflow(house)
    runs = client.search_runs(
        [client.get_experiment_by_name("digits").experiment_id], "tags.`mlflow.parentRunId` IS NULL"
    )
    metrics = runs[-1].data.metrics
    assert metrics["test/accuracy"] == house.artifact("distill/metrics.json")["test/accuracy"]
    wanted = {
        "val/accuracy",
        "test/ece",
        "robust/linf/accuracy",
        "corruption/mean_accuracy",
        "edge/size_kb",
        "edge/latency_ms_p50",
        "cost/usd",
    }
    assert wanted | {"receipt/gain_over_none", "receipt/gain_over_hard"} <= set(metrics)


def test_the_registered_version_is_onnx_without_a_pickle_and_mlflow_loads_it(house: House):
    client = mlflow(house)
    [version] = client.search_model_versions("name = 'digits'")
    assert (
        int(version.version),
        client.get_model_version_by_alias("digits", "champion").version,
    ) == (1, version.version)
    script = """
import json, mlflow, numpy, sys
from pathlib import Path
uri = "sqlite:///" + str(Path(".stillhouse/mlflow.db").absolute())
mlflow.set_tracking_uri(uri); mlflow.set_registry_uri(uri)
folder = Path(mlflow.artifacts.download_artifacts("models:/digits@champion"))
model = mlflow.onnx.load_model(str(folder))
answers = mlflow.pyfunc.load_model(str(folder)).predict(numpy.zeros((2, 1, 8, 8), dtype="float32"))
shape = numpy.asarray(next(iter(answers.values())) if isinstance(answers, dict) else answers).shape
files = {p.relative_to(folder).as_posix(): p.read_bytes()[:1] == b"\\x80" for p in folder.rglob("*") if p.is_file()}
print(json.dumps({"type": type(model).__name__, "shape": shape, "files": files}))
"""
    done = house.do(sys.executable, "-c", script)
    assert done.code == 0, done.err[-2000:]
    told = json.loads(done.out.splitlines()[-1])
    assert (told["type"], told["shape"]) == ("ModelProto", [2, 10])
    assert not any(told["files"].values())
    names = {Path(name).name for name in told["files"]}
    assert {
        "MLmodel",
        "student.int8.onnx",
        "student.safetensors",
        "receipt.json",
        "receipt.html",
        "card.md",
        "schema.json",
    } <= names
    assert not [
        name
        for name in names
        if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy"))
    ]


def test_the_stored_student_is_the_one_in_the_workspace(house: House):
    registry = house.registry()
    version = registry.version(1)
    mine = sha256(house.root / "artifacts" / "export" / "student.onnx")
    storage = Path(registry.storage(1).removeprefix("file://").replace("%20", " "))
    assert mine in {sha256(p) for p in storage.rglob("*.onnx")}
    assert version.fingerprint == house.json("status")["champion"]["sha256"]


# --- what Prefect holds -------------------------------------------------------------------------


def asked(url: str, what: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask Prefect's API as any client does."""
    request = urllib.request.Request(
        f"{url}/{what}/filter", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


@pytest.fixture(scope="module")
def flow_run(prefect: str) -> dict[str, Any]:
    return asked(prefect, "flow_runs", {"sort": "START_TIME_ASC"})[0]


def test_prefect_holds_one_completed_flow_run_named_after_the_model(flow_run: dict[str, Any]):
    assert (flow_run["name"], flow_run["state"]["type"]) == ("digits", "COMPLETED")


def test_prefect_holds_a_task_run_for_each_step_and_each_act(
    prefect: str, flow_run: dict[str, Any]
):
    runs = asked(prefect, "task_runs", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
    runs.sort(key=lambda run: run["start_time"])
    assert [run["name"] for run in runs] == [*STEPS, "register", "promote v1"]
    assert {run["state"]["type"] for run in runs} == {"COMPLETED"}
    assert {run["run_count"] for run in runs} == {1}


def test_prefect_shows_the_steps_the_rules_and_a_link_to_the_receipt(
    house: House, prefect: str, flow_run: dict[str, Any]
):
    found = {
        a["key"]: a
        for a in asked(prefect, "artifacts", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
    }
    assert set(found) == {"steps", "rules", "receipt"}
    assert [row["step"] for row in json.loads(found["steps"]["data"])] == list(STEPS)
    verdicts = {
        rule["name"]: rule["verdict"] for rule in house.artifact("gate/verdict.json")["rules"]
    }
    assert {row["name"]: row["verdict"] for row in json.loads(found["rules"]["data"])} == verdicts
    assert (house.root / "artifacts" / "report" / "receipt.html").as_uri() in found["receipt"][
        "data"
    ]


def test_a_server_that_is_open_already_is_used(house: House, prefect: str):
    before = len(asked(prefect, "flow_runs", {}))
    (house.root / "artifacts" / "report" / "receipt.html").unlink()
    told = house.json("run")
    assert (told["outcome"], states(told)["report"]) == ("unchanged", "restored")
    assert len(asked(prefect, "flow_runs", {})) == before + 1


def test_a_step_run_alone_makes_the_same_bytes_and_the_next_run_goes_on(house: House, prefect: str):
    before = {
        name: digest
        for name, digest in house.hashes().items()
        if "/validate/" in name and not name.endswith("timing.json")
    }
    assert len(before) == 2
    house.stillhouse("step", "validate")
    after = house.hashes()
    assert {name: after[name] for name in before} == before
    told = house.json("run")
    assert told["outcome"] == "unchanged"
    assert "ran" not in states(told).values()


# --- people -------------------------------------------------------------------------------------


def test_the_closing_table_fits_eighty_columns(house: House):
    done = house.stillhouse("receipt")
    assert max(len(line) for line in done.out.splitlines() if not line.startswith("page")) <= 80
    assert "Traceback" not in done.said


def test_a_command_works_from_a_folder_inside_the_project(house: House):
    done = subprocess.run(
        [Path(sys.executable).parent / "stillhouse", "receipt", "--json"],
        cwd=house.root / "artifacts" / "report",
        env={**os.environ, "HOME": str(house.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == house.artifact("report/receipt.json")
