"""What a source was trained on, its champion can be asked about: the same file, without targets."""

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from stillhouse import config
from stillhouse.data.rows import Rows
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError


def made_by(name: str) -> ModuleType:
    """The makers of files that the source's own tests have."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(spec: dict[str, object], path: Path, schema: Schema) -> Rows:
    found: Rows = config.plugin("sources", spec, where="prepare.source").rows(path, schema)
    return found


def test_a_table_is_read_with_the_marks_it_was_learned_with(tmp_path: Path):
    csv = made_by("test_csv")
    told = {"decimal": ",", "missing": ["-9"], "delimiter": ";"}
    text = "a;b;label\n" + "".join(f"{i};{i},5;{'xy'[i % 2]}\n" for i in range(9)) + "-9;1,5;x\n"
    learned = csv.read(tmp_path, text, **told)
    spec = {"name": "csv", "path": "rows.csv", "target": "label", **told}
    found = asked(spec, tmp_path / "rows.csv", learned.schema)
    torch.testing.assert_close(found.inputs, learned.inputs, equal_nan=True)
    assert not found.refused
    (tmp_path / "new.csv").write_text("b;a\n0,5;-9\n")
    assert asked(spec, tmp_path / "new.csv", learned.schema).inputs[0].isnan().tolist() == [True, 0]


def test_a_table_may_be_learned_from_parquet_and_asked_in_csv(tmp_path: Path):
    made = made_by("test_parquet")
    learned = made.read(made.write(tmp_path))
    spec = {"name": "parquet", "path": "rows.parquet", "target": "outcome"}
    found = asked(spec, tmp_path / "rows.parquet", learned.schema)
    torch.testing.assert_close(found.inputs, learned.inputs, equal_nan=True)
    (tmp_path / "one.csv").write_text("ward,smokes,age,stays,price\nsouth,true,30.5,1,1.5\n")
    one = asked(spec, tmp_path / "one.csv", learned.schema)
    assert one.inputs.shape == (1, 5)
    assert not one.refused
    parquet.write_table(pyarrow.table({"age": [1.0]}), tmp_path / "few.parquet")
    with pytest.raises(SourceError, match="no column 'stays'"):
        asked(spec, tmp_path / "few.parquet", learned.schema)


def test_a_photograph_or_a_folder_without_classes_is_asked_in_the_models_size(tmp_path: Path):
    made = made_by("test_imagefolder")
    learned = made.read(tmp_path, {"cat/Thumbs.db": b"left by a file manager"}, resize=4)
    spec = {"name": "imagefolder", "path": "images", "resize": 4}
    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    for name in ("b.jpg", "deep/a.jpg"):
        (new / name).write_bytes(made.encoded(made.COLOUR, "JPEG"))
    (new / "desktop.ini").write_bytes(b"[x]")
    found = asked(spec, new, learned.schema)
    assert found.names == ("b.jpg", "deep/a.jpg")
    assert found.inputs.shape == (2, 1, 4, 4)
    assert asked(spec, new / "b.jpg", learned.schema).names == ("b.jpg",)
    same = asked(spec, tmp_path / "images", learned.schema)
    torch.testing.assert_close(same.inputs, learned.inputs)
    with pytest.raises(SourceError, match="8 × 6 pixels, the model takes 4 × 4"):
        asked({"name": "imagefolder", "path": "images"}, new / "b.jpg", learned.schema)
    with pytest.raises(SourceError, match="missing"):
        asked(spec, tmp_path / "nowhere", learned.schema)


def test_sounds_are_asked_by_name(tmp_path: Path):
    made = made_by("test_wavfolder")
    learned = made.read(tmp_path, length=10, decimate=2)
    spec = {"name": "wavfolder", "path": "sounds", "length": 10, "decimate": 2}
    found = asked(spec, tmp_path / "sounds", learned.schema)
    torch.testing.assert_close(found.inputs, learned.inputs)
    assert found.names[0] == "no/1.wav"


def test_lines_of_a_series_are_cut_as_in_training_without_target_or_recording(tmp_path: Path):
    made = made_by("test_series_csv")
    learned = made.read(tmp_path)
    spec = {"name": "series_csv", "path": "rows.csv", "recording": "rec", "target": "act"}
    spec |= {"window": 4, "time": "t", "drop": ["who"]}
    found = asked(spec, tmp_path / "rows.csv", learned.schema)
    torch.testing.assert_close(found.inputs, learned.inputs)
    assert found.names[:3] == ("r0 line 2", "r0 line 6", "r1 line 10")
    lines = [f"{at},{'' if at == 5 else at}" for at in range(8)]
    (tmp_path / "new.csv").write_text("\n".join(["x,y", *lines]))
    new = asked(spec, tmp_path / "new.csv", learned.schema)
    assert new.names == ("new line 2", "new line 6")
    assert list(new.refused) == [1]
    backwards = [f"r0,{-at},{at},{at}" for at in range(8)]
    (tmp_path / "new.csv").write_text("\n".join(["rec,t,x,y", *backwards]))
    with pytest.raises(SourceError, match="runs backwards"):
        asked(spec, tmp_path / "new.csv", learned.schema)


def test_bytes_are_scaled_as_in_training_and_what_lies_in_0_to_1_is_not(tmp_path: Path):
    npz, idx = made_by("test_npz"), made_by("test_idx")
    pixels = (np.arange(12 * 16).reshape(12, 4, 4) % 256).astype(np.uint8)
    how = {"scale": 255, "kind": "image", "inputs": "images"}
    learned = npz.read(tmp_path, how, images=pixels, targets=npz.TARGETS)
    spec = {"name": "npz", "path": "rows.npz", **how}
    for arrays in ({"images": pixels}, {"inputs": (pixels / 255).astype(np.float32)}):
        np.savez(tmp_path / "new.npz", **arrays)
        found = asked(spec, tmp_path / "new.npz", learned.schema)
        torch.testing.assert_close(found.inputs, learned.inputs)
    learned = idx.read(tmp_path)
    (tmp_path / "new.gz").write_bytes(gzip.compress(idx.idx(idx.PIXELS)))
    spec = {"name": "idx", "images": "images", "labels": "labels"}
    torch.testing.assert_close(
        asked(spec, tmp_path / "new.gz", learned.schema).inputs, learned.inputs
    )
