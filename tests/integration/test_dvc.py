"""DVC's own commands agree with the flow, in both directions, and nothing is served that is not
what was recorded.
"""

import json
from pathlib import Path

import yaml
from integration.conftest import First
from integration.house import CLOCKS, STEPS, House, states


def test_dvc_finds_nothing_changed_after_the_flow(house: House):
    assert json.loads(house.dvc("status", "--json").out) == {}


def test_dvc_repro_runs_nothing_and_leaves_the_lock_after_the_flow(house: House):
    before = (house.root / "dvc.lock").read_bytes()
    assert "Running stage" not in house.dvc("repro").out
    assert (house.root / "dvc.lock").read_bytes() == before


def test_dvc_shows_the_metrics_by_their_paths(house: House):
    told = json.loads(house.dvc("metrics", "show", "--json").out)[""]["data"]
    assert set(told) == {f"artifacts/{name}/metrics.json" for name in STEPS}
    assert told["artifacts/distill/metrics.json"]["data"] == house.artifact("distill/metrics.json")


def test_the_flow_and_dvc_alone_make_the_same_files(house: House, first: First, repeated: House):
    """The other project never saw the flow: `stillhouse lock`, then `dvc repro`.

    All that differs is what clocks go into.
    """
    alone = repeated.recorded()
    assert list(alone) == list(STEPS)
    for name in STEPS:
        assert alone[name] == first.recorded[name], name
    assert (repeated.root / "code.lock.json").read_bytes() == (
        house.root / "code.lock.json"
    ).read_bytes()


def test_a_run_of_the_flow_takes_over_what_dvc_alone_made(repeated: House):
    told = repeated.json("run")
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    assert set(states(told).values()) == {"unchanged"}
    assert repeated.left_running() == []


def test_an_experiment_with_another_method_runs_and_is_compared_and_the_next_run_restores(
    house: House, first: First, prefect: str
):
    before = house.hashes()
    try:
        done = house.dvc(
            "exp",
            "run",
            "-S",
            "distill.method.name=dkd",
            "-S",
            "tune.trials=1",
            "-n",
            "another-method",
        )
        assert [name for name in STEPS if f"Running stage '{name}'" in done.out] == [
            "tune",
            "distill",
            "export",
            "robustness",
            "gate",
            "report",
        ]
        assert (
            house.artifact("report/receipt.json")["settings"]["distill"]["method"]["name"] == "dkd"
        )
        assert (
            house.hashes()["artifacts/teacher/teacher.json"]
            == before["artifacts/teacher/teacher.json"]
        )
        compared = json.loads(house.dvc("metrics", "diff", "--all", "--json").out)[
            "artifacts/distill/metrics.json"
        ]["test/accuracy"]
        assert compared["new"] == house.artifact("distill/metrics.json")["test/accuracy"]
        assert compared["old"] == first.accuracy != compared["new"]
    finally:
        house.git("checkout", ".")
    told = house.json("run")
    assert (told["outcome"], told["version"]) == ("unchanged", 1)
    assert "ran" not in states(told).values()
    assert house.hashes() == before


def test_a_spoilt_output_and_a_spoilt_cache_are_found_and_made_again(house: House, prefect: str):
    before = house.hashes()
    student, teacher = (
        house.root / "artifacts" / "distill" / "student.safetensors",
        house.root / "artifacts" / "teacher" / "evaluation.json",
    )
    spoil(student)
    spoil(cached(house, "artifacts/teacher/evaluation.json"))
    teacher.unlink()  # so that DVC takes it from its cache, which it would serve without a word
    done = house.stillhouse("run", "--json")
    told = json.loads(done.out)
    assert (told["outcome"], told["version"]) == ("unchanged", 1)
    assert states(told) == {
        **dict.fromkeys(STEPS, "unchanged"),
        "teacher": "ran",
        "distill": "restored",
        "report": "ran",
    }
    for name in ("artifacts/distill/student.safetensors", "artifacts/teacher/evaluation.json"):
        assert f"{name} differs from its recorded hash" in done.err
    assert {n: h for n, h in house.hashes().items() if not n.endswith(CLOCKS)} == {
        n: h for n, h in before.items() if not n.endswith(CLOCKS)
    }


def test_a_spoilt_output_with_its_time_put_back_is_found(house: House, prefect: str):
    """DVC believes a file's time and size; what is served is hashed all the same."""
    import os

    path = house.root / "artifacts" / "export" / "student.onnx"
    before, stat = house.hashes(), path.stat()
    spoil(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    done = house.stillhouse("run", "--json")
    assert json.loads(done.out)["outcome"] == "unchanged"
    assert "artifacts/export/student.onnx differs from its recorded hash" in done.err
    assert house.hashes("student.onnx") == {
        n: h for n, h in before.items() if n.endswith("/student.onnx")
    }


def cached(house: House, name: str) -> Path:
    """Return the place of an output's bytes in DVC's cache."""
    lock = yaml.safe_load((house.root / "dvc.lock").read_text())["stages"]
    [digest] = [
        out["md5"] for stage in lock.values() for out in stage["outs"] if out["path"] == name
    ]
    return house.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]


def spoil(path: Path) -> None:
    """Change a byte in the middle of a file, in place, in size and with its rights: DVC looks into
    its cache's files only where they can be written.
    """
    data, mode = bytearray(path.read_bytes()), path.stat().st_mode
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(mode)
