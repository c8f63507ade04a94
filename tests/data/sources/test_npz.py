import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError

IMAGES = np.linspace(0, 1, 12 * 3 * 4 * 4).reshape(12, 3, 4, 4)
TARGETS = np.arange(12) % 3


def read(folder: Path, settings: dict[str, object] | None = None, **arrays: Any) -> Dataset:
    np.savez(folder / "rows.npz", **arrays)
    return read_file(folder, settings)


def read_file(folder: Path, settings: dict[str, object] | None = None) -> Dataset:
    source = config.plugin(
        "sources", {"name": "npz", "path": "rows.npz", **(settings or {})}, where="prepare.source"
    )
    made: Dataset = source.read(folder)
    return made


@pytest.mark.parametrize(
    ("inputs", "kind", "features"),
    [
        (IMAGES, "image", 3),
        (IMAGES[:, :1], "image", 1),
        (IMAGES[:, 0], "series", 4),
        (IMAGES[:, 0, 0], "table", 4),
    ],
    ids=["three channels", "one channel", "series", "table"],
)
def test_axes_tell_the_kind(tmp_path: Path, inputs: np.ndarray, kind: str, features: int) -> None:
    found = read(tmp_path, inputs=inputs, targets=TARGETS)
    assert found.schema.kind == kind
    assert found.schema.shape == inputs.shape[1:]
    assert len(found.schema.features) == features
    assert found.classes == ("0", "1", "2")


def test_images_without_a_channel_axis_get_one_when_told(tmp_path: Path) -> None:
    assert read(tmp_path, {"kind": "image"}, inputs=IMAGES[:, 0], targets=TARGETS).schema.shape == (
        1,
        4,
        4,
    )


@pytest.mark.parametrize(
    "inputs", [np.zeros((12, 6, 4), np.uint8), np.zeros((12, 8, 8))], ids=["bytes", "squares"]
)
def test_what_may_be_grey_images_is_not_silently_a_series(
    tmp_path: Path, inputs: np.ndarray
) -> None:
    with pytest.raises(SourceError, match="grey images") as caught:
        read(tmp_path, inputs=inputs, targets=TARGETS)
    assert "prepare.source.kind" in str(caught.value)
    assert (
        read(tmp_path, {"kind": "series"}, inputs=inputs, targets=TARGETS).schema.kind == "series"
    )
    assert read(tmp_path, {"kind": "image"}, inputs=inputs, targets=TARGETS).schema.shape == (
        1,
        *inputs.shape[1:],
    )
    assert (
        read(tmp_path, inputs=inputs[:, :, :3].astype(float), targets=TARGETS).schema.kind
        == "series"
    )


@pytest.mark.parametrize(
    ("targets", "classes", "codes"),
    [
        (np.array(["cat", "dog", "", "dog"] * 3), ("cat", "dog"), [0, 1, -1, 1]),
        (np.array([b"cat", b"dog", b"", b"dog"] * 3), ("cat", "dog"), [0, 1, -1, 1]),
        (np.array([4, 2, -1, 10] * 3), ("2", "4", "10"), [1, 0, -1, 2]),
        (np.array([1.0, 0.0, np.nan, 1.0] * 3), ("0", "1"), [1, 0, -1, 1]),
        (np.array([True, False, True, True] * 3), ("0", "1"), [1, 0, 1, 1]),
        (np.array([[1], [0], [1], [1]] * 3), ("0", "1"), [1, 0, 1, 1]),
    ],
    ids=["strings", "bytes", "whole numbers", "floats", "bools", "a column"],
)
def test_targets_may_be_numbers_or_names(
    tmp_path: Path, targets: np.ndarray, classes: tuple[str, ...], codes: list[int]
) -> None:
    found = read(tmp_path, inputs=IMAGES, targets=targets)
    assert found.classes == classes
    assert found.targets[:4].tolist() == codes


def test_class_names_groups_and_time_are_taken(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"classes": ["a", "b", "c"]},
        inputs=IMAGES,
        targets=TARGETS,
        groups=np.array(["p", "q"] * 6),
        time=np.arange(12),
    )
    assert found.classes == ("a", "b", "c")
    assert found.groups is not None
    assert found.time is not None
    assert len(found.groups.unique()) == 2
    assert found.time.tolist() == list(range(12))


def test_a_table_may_have_missing_cells(tmp_path: Path) -> None:
    inputs = np.column_stack([np.arange(12) % 2, np.arange(12), np.linspace(0, 1, 12)]).astype(
        float
    )
    inputs[4, 2] = np.nan
    found = read(tmp_path, inputs=inputs, targets=TARGETS)
    assert [(f.kind, f.missing) for f in found.schema.features] == [
        ("binary", False),
        ("integer", False),
        ("number", True),
    ]


def with_value(array: np.ndarray, row: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("arrays", "settings", "said"),
    [
        ({"targets": TARGETS}, {}, "no array 'inputs'"),
        (
            {"inputs": (IMAGES * 255).astype(np.uint8), "targets": TARGETS},
            {},
            "images are in .0, 1.*scale: 255",
        ),
        ({"inputs": IMAGES - 0.5, "targets": TARGETS}, {}, "row 0 lies in"),
        ({"inputs": with_value(IMAGES, 7, np.nan), "targets": TARGETS}, {}, "row 7 holds nan"),
        (
            {"inputs": with_value(IMAGES[:, 0], 7, np.inf), "targets": TARGETS},
            {},
            "row 7 holds inf",
        ),
        (
            {"inputs": with_value(IMAGES[:, 0, 0], 7, -np.inf), "targets": TARGETS},
            {},
            "row 7 holds -inf",
        ),
        ({"inputs": np.zeros((12, 32, 32, 3)), "targets": TARGETS}, {}, "channels: last"),
        ({"inputs": IMAGES, "targets": TARGETS}, {"targets": "y"}, "no array 'y'.*inputs, targets"),
        ({"inputs": IMAGES[:, 0], "targets": TARGETS}, {"channels": "last"}, "have channels last"),
        ({"inputs": IMAGES, "targets": TARGETS[:5]}, {}, "there are 12 rows"),
        ({"inputs": IMAGES, "targets": np.eye(12)}, {}, "argmax"),
        ({"inputs": IMAGES, "targets": TARGETS / 2}, {}, "fractions"),
        ({"inputs": IMAGES, "targets": np.zeros(12, int)}, {}, "only one class"),
        ({"inputs": IMAGES, "targets": np.arange(12) // 11}, {}, "class '1' has one row"),
        (
            {"inputs": IMAGES, "targets": TARGETS},
            {"classes": ["a", "b"]},
            "row 2 has the target '2'",
        ),
        ({"inputs": IMAGES, "targets": TARGETS}, {"kind": "table"}, "4|shape"),
        ({"inputs": IMAGES, "targets": TARGETS}, {"features": ["r"]}, "the rows have 3"),
        ({"inputs": np.zeros((0, 4)), "targets": np.zeros(0)}, {}, "nothing in it"),
        ({"inputs": np.array(["a"] * 12), "targets": TARGETS}, {}, "not numbers"),
        (
            {"inputs": IMAGES, "targets": TARGETS, "time": with_value(np.arange(12.0), 3, np.nan)},
            {},
            "row 3 has no time",
        ),
        ({"inputs": np.array([None] * 12), "targets": TARGETS}, {}, "Python objects"),
        ({"inputs": IMAGES, "targets": np.array(["a", None] * 6)}, {}, "Python objects"),
    ],
)
def test_bad_arrays_are_refused_and_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, settings, **arrays)
    assert "rows.npz" in str(caught.value)
    assert len(read(tmp_path, inputs=IMAGES, targets=TARGETS)) == 12


def packed(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (np.eye(3, dtype=int)[TARGETS], "Save classes, not one-hot rows"),
        (np.ones((12, 3), dtype=int), "several labels or none.*task: multi_label"),
        (np.eye(12, 3), "several labels or none"),
        (np.ones((12, 3)) / 3, "Save classes"),
    ],
    ids=["one-hot", "all", "none", "shares"],
)
def test_a_matrix_of_labels_is_refused_by_what_it_is(
    tmp_path: Path, targets: np.ndarray, said: str
) -> None:
    assert len(read(tmp_path, inputs=IMAGES, targets=TARGETS)) == 12
    with pytest.raises(SourceError, match=said):
        read(tmp_path, inputs=IMAGES, targets=targets)


def npy(shape: tuple[int, ...], data: bytes) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return header.getvalue() + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x04\x95 not an archive", "a pickle"),
        (b"inputs,targets\n1,2\n", "something else"),
        (b"", "empty"),
        (b"\x93NUMPY\x01\x00", "npy"),
        (packed(inputs=npy((2, 3), b"\0" * 24))[:60], "broken"),
        (packed(inputs=npy((10**12, 3), b"\0" * 24)), "promises the shape"),
        (packed(inputs=b"not an array"), "broken"),
        (packed(inputs=npy((17 * 2**20,), b"\0" * (68 * 2**20))), "times its own size"),
    ],
    ids=["pickle", "text", "empty", "npy", "cut off", "a huge shape", "no array", "bomb"],
)
def test_a_file_that_is_no_archive_of_arrays_is_refused(
    tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "rows.npz").write_bytes(data)
    with pytest.raises(SourceError, match=said) as caught:
        read_file(tmp_path)
    assert "rows.npz" in str(caught.value)


def test_a_compressed_archive_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "rows.npz", inputs=IMAGES, targets=TARGETS)
    assert len(read_file(tmp_path)) == 12


def test_arrays_of_other_names_bytes_and_channels_last_need_settings_and_no_code(
    tmp_path: Path,
) -> None:
    pixels = (IMAGES * 255).astype(np.uint8)
    names = {"inputs": "train_images", "targets": "train_labels"}
    grey = read(
        tmp_path,
        {**names, "scale": 255, "kind": "image"},
        train_images=pixels[:, 0],
        train_labels=TARGETS[:, None],
        val_images=pixels[:3, 0],
    )
    assert (grey.schema.kind, tuple(grey.inputs.shape)) == ("image", (12, 1, 4, 4))
    np.testing.assert_array_equal(grey.inputs[:, 0].numpy(), pixels[:, 0].astype(np.float32) / 255)
    last = read(
        tmp_path, {"channels": "last"}, inputs=IMAGES.transpose(0, 2, 3, 1), targets=TARGETS
    )
    np.testing.assert_array_equal(last.inputs.numpy(), IMAGES.astype(np.float32))
