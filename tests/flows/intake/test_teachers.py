import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from stillhouse.errors import SourceError, UsageError
from stillhouse.workspace import dump_tensors
from stillhouse_flows.intake.teachers import placed, teacher_of


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("models:/credit@champion", {"name": "pyfunc", "uri": "models:/credit@champion"}),
        ("https://a.example/p", {"name": "endpoint", "url": "https://a.example/p"}),
        (
            "http://127.0.0.1:8000/p",
            {"name": "endpoint", "url": "http://127.0.0.1:8000/p", "allow": ["127.0.0.1", "::1"]},
        ),
        ("http://127.0.0.1.evil.example/p", {"name": "endpoint", "url": "http://127.0.0.1.evil.example/p"}),
        ("module:my_models:Big", {"name": "module", "module": "my_models:Big"}),
        ("timm:resnet18", {"name": "timm", "model": "resnet18"}),
        ("sklearn", {"name": "sklearn"}),
        ("{name: sklearn, trees: 5}", {"name": "sklearn", "trees": 5}),
    ],
)  # fmt: skip
def test_a_uri_or_a_name_says_which_teacher_it_is(
    tmp_path: Path, text: str, spec: dict[str, Any]
) -> None:
    assert teacher_of(text, tmp_path) == spec


def test_paths_inside_settings_start_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.onnx").write_bytes(b"")
    root, big = tmp_path / "out", {"name": "onnx", "path": "big.onnx"}
    there = {"name": "onnx", "path": str(tmp_path / "big.onnx")}
    assert placed(big, root) == there
    assert placed({"name": "votes", "of": big}, root) == {"name": "votes", "of": there}
    many = {"name": "ensemble", "members": [big, {"name": "sklearn"}]}
    assert placed(many, root) == {**many, "members": [there, {"name": "sklearn"}]}
    gone = {"name": "onnx", "path": "gone.onnx"}
    assert placed(gone, root) == gone


def _onnx(path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), path)


def _exported(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:  # the entries that torch.export.save writes
        archive.writestr("big/archive_format", "pt2")
        archive.writestr("big/models/model.json", "{}")


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text("{}")


@pytest.mark.parametrize(
    ("file", "make", "name"),
    [
        ("big.onnx", _onnx, "onnx"),
        ("big.pt2", _exported, "exported"),
        ("big", _folder, "huggingface"),
        ("a.npz", lambda p: np.savez(p, rows=[0], probabilities=[[1.0]]), "predictions"),
        ("q.npz", lambda p: np.savez(p, rows=[0], values=[1.0]), "predictions"),
        ("q.safetensors", lambda p: p.write_bytes(dump_tensors({"rows": torch.arange(1), "values": torch.ones(1)})), "predictions"),
        ("a.csv", lambda p: p.write_text("rows,a,b\n0,0.5,0.5\n"), "predictions"),
        ("w.safetensors", lambda p: p.write_bytes(dump_tensors({"w": torch.ones(1)})), "checkpoint"),
    ],
)  # fmt: skip
def test_a_file_is_told_by_its_bytes(tmp_path: Path, file: str, make: Any, name: str) -> None:
    make(tmp_path / file)
    assert teacher_of(str(tmp_path / file), tmp_path) == {"name": name, "path": file}


@pytest.mark.parametrize(
    ("file", "make", "said"),
    [
        ("m.pkl", lambda p: p.write_bytes(pickle.dumps([1])), "is a pickle"),
        ("m.pt", lambda p: torch.save({"w": torch.ones(1)}, p), "is a pickle"),
        ("m.zip", lambda p: p.write_bytes(b"PK\x03\x04..."), "archive is broken"),
        ("m.txt", lambda p: p.write_text("hello"), "is no teacher"),
        ("m", lambda p: p.mkdir(), "no config.json"),
        ("m.npz", lambda p: np.savez(p, x=[1.0], y=[0]), "holds x, y, and no answers"),
    ],
)
def test_what_is_never_read_is_refused_by_name(
    tmp_path: Path, file: str, make: Any, said: str
) -> None:
    make(tmp_path / file)
    with pytest.raises(SourceError, match=said):
        teacher_of(str(tmp_path / file), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("big.onx", "no teacher 'big.onx', neither a file nor a plugin"),
        ("sklern", "Did you mean 'sklearn'"),
        ("{trees: 5}", "no mapping with a name"),
    ],
)
def test_what_is_nothing_is_refused_with_what_could_be_meant(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        teacher_of(text, tmp_path)
