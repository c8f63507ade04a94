import pytest
import torch
from steps.walked import job, settle, workspace

from stillhouse.edge.session import Session
from stillhouse.errors import Corrupt, PluginNotFound, SettingsError
from stillhouse.steps import export
from stillhouse.steps.student import load_student
from stillhouse.workspace import StepFiles, dump_tensors


@pytest.fixture(scope="module", params=["image", "table"])
def ran(request, tmp_path_factory):
    made = workspace(tmp_path_factory.mktemp("export"), request.param)
    asked = job(made, "export", {})
    metrics = export.step.run(asked)
    return made, asked, metrics


def test_it_writes_what_it_declares_and_nothing_else(ran):
    _, asked, _ = ran
    assert sorted(p.name for p in asked.files.fresh.iterdir()) == sorted(export.step.writes)


def test_the_stored_answers_are_those_of_the_stored_files(ran):
    _, asked, metrics = ran
    inputs = asked.files.read_tensors("prepare/test.safetensors")["inputs"]
    kept, about = (
        asked.files.read_tensors("export/outcomes.safetensors"),
        asked.files.read_json("export/edge.json"),
    )
    targets = asked.files.read_tensors("prepare/test.safetensors")["targets"]
    assert torch.equal(
        kept["fp32_logits"], Session(asked.files.read_bytes("export/student.onnx")).logits(inputs)
    )
    assert torch.equal(
        kept["int8_logits"],
        Session(asked.files.read_bytes("export/student.int8.onnx")).logits(inputs),
    )
    assert about["int8_accuracy"] == float(
        (kept["int8_logits"].argmax(1) == targets).double().mean()
    )
    assert about["int8_agreement"] == float(
        (kept["int8_logits"].argmax(1) == kept["fp32_logits"].argmax(1)).double().mean()
    )
    assert about["int8_agreement"] > 0.9
    assert about["parity_max_error"] < 1e-4
    assert about["onnx_bytes"] == len(asked.files.read_bytes("export/student.onnx"))
    columns = ["age", "lab", "sex"] if inputs.ndim == 2 else "inputs"
    assert (about["inputs"], about["outputs"], about["opset"]) == (columns, "logits", 20)
    assert about["macs"] > 0
    assert metrics["edge/size_kb"] == about["onnx_bytes"] / 1000
    assert metrics["edge/int8_size_kb"] == about["int8_bytes"] / 1000


def test_clocks_stand_in_the_timing_file_only(ran):
    _, asked, metrics = ran
    timed = asked.files.read_json("export/latency.timing.json")
    assert timed["fp32"]["p50_ms"] > 0
    assert timed["int8"]["p95_ms"] >= timed["int8"]["p50_ms"]
    assert not [name for name in metrics if "latency" in name]
    assert asked.timing["edge/latency_ms_p50"] == timed["fp32"]["p50_ms"]


def test_without_int8_the_file_is_empty_and_says_why(tmp_path):
    asked = job(workspace(tmp_path), "export", {"int8": False})
    metrics = export.step.run(asked)
    about = asked.files.read_json("export/edge.json")
    assert asked.files.read_bytes("export/student.int8.onnx") == b""
    assert about["int8_bytes"] is about["int8_agreement"] is about["int8_accuracy"] is None
    assert about["int8_reason"] == "export.int8 is off."
    assert asked.files.read_json("export/latency.timing.json")["int8"] is None
    assert "edge/int8_size_kb" not in metrics


def test_a_second_run_writes_the_same_bytes(ran):
    _, asked, metrics = ran
    names = ("student.onnx", "student.int8.onnx", "edge.json", "outcomes.safetensors")
    before = {name: asked.files.read_bytes(f"export/{name}") for name in names}
    assert export.step.run(asked) == metrics
    assert {name: asked.files.read_bytes(f"export/{name}") for name in names} == before


def test_weights_of_another_architecture_are_refused(tmp_path):
    made = workspace(tmp_path)
    files = StepFiles(made, "export")
    load_student(files)
    about = files.read_json("distill/student.json")
    made.write_json(
        "artifacts/distill/student.json",
        {**about, "architecture": {"name": "mlp", "width": 25, "depth": 1}},
    )
    with pytest.raises(Corrupt, match="do not fit"):
        load_student(files)
    made.write_bytes("artifacts/distill/student.safetensors", dump_tensors({"x": torch.zeros(1)}))
    with pytest.raises(Corrupt, match="do not fit"):
        load_student(files)


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ({"exporter": {"name": "onx"}}, PluginNotFound),
        ({"exporter": {"name": "onnx", "opset": 5}}, SettingsError),
        ({"int9": True}, SettingsError),
        ({"calibration": 0}, SettingsError),
        ({"calibration": {"int": [1, 8]}}, SettingsError),
        ({"tolerance": "small"}, SettingsError),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section, error):
    export.step.check(
        {
            "export": {
                "exporter": {"name": "onnx", "opset": 20},
                "int8": False,
                "calibration": 8,
                "tolerance": 0.001,
            }
        }
    )
    with pytest.raises(error):
        export.step.check({"export": section})


def test_the_runner_can_settle_its_files(tmp_path):
    made = workspace(tmp_path)
    export.step.run(job(made, "export", {"int8": False}))
    settle(made, "export")
    assert (made.artifacts / "export" / "student.onnx").is_file()
