import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError

PIXELS = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
CODES = np.array([7, 2, 7, 2, 7, 2], dtype=np.uint8)


def idx(values: np.ndarray, shape: tuple[int, ...] | None = None, kind: int | None = None) -> bytes:
    kinds = {"uint8": 8, "int8": 9, "int32": 12, "float32": 13}
    shape = values.shape if shape is None else shape
    head = struct.pack(
        f">BBBB{len(shape)}I",
        0,
        0,
        kinds[values.dtype.name] if kind is None else kind,
        len(shape),
        *shape,
    )
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


def read(
    folder: Path, images: bytes = idx(PIXELS), labels: bytes = idx(CODES), **settings: object
) -> Dataset:
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)
    source = config.plugin(
        "sources",
        {"name": "idx", "images": "images", "labels": "labels", **settings},
        where="prepare.source",
    )
    made: Dataset = source.read(folder)
    return made


def test_bytes_become_grey_images_in_data_space(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.inputs.shape == (6, 1, 4, 5)
    np.testing.assert_array_equal(found.inputs.numpy()[:, 0] * 255, PIXELS)
    assert found.classes == ("2", "7")
    assert found.targets.tolist() == [1, 0, 1, 0, 1, 0]


def test_gzip_is_told_by_its_bytes_and_gives_the_same_rows(tmp_path: Path) -> None:
    assert (
        read(tmp_path, gzip.compress(idx(PIXELS)), gzip.compress(idx(CODES))).fingerprint()
        == read(tmp_path).fingerprint()
    )


def test_labels_may_be_wider_and_classes_may_have_names(tmp_path: Path) -> None:
    found = read(tmp_path, labels=idx(CODES.astype(np.int32) // 7), classes=["left", "right"])
    assert found.classes == ("left", "right")
    assert found.targets.tolist() == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": b"\x80\x04 a pickle"}, "images: the file is not IDX"),
        ({"images": b""}, "images: the file is not IDX"),
        ({"images": idx(PIXELS)[:9]}, "cut off in its header"),
        ({"images": idx(PIXELS)[:-1]}, "promises 120 bytes, it is cut off after 119"),
        ({"images": idx(PIXELS) + b"\0"}, "more follow"),
        ({"images": idx(PIXELS, (6, 60000, 60000))}, "more than 1024 MiB"),
        ({"images": idx(PIXELS, (6, 0, 5))}, "nothing is in it"),
        ({"images": idx(PIXELS.astype(np.float32))}, "0x0d, not whole numbers"),
        ({"images": idx(PIXELS.astype(np.int8))}, "int8, not bytes"),
        ({"images": idx(CODES), "labels": idx(PIXELS)}, "Swap the settings"),
        ({"images": idx(PIXELS[:5])}, "5 images and 6 labels"),
        ({"images": gzip.compress(idx(PIXELS))[:-9]}, "broken or cut off"),
        ({"images": gzip.compress(idx(PIXELS) + b"\0" * 10**6)}, "more follow"),
        ({"images": b"\x1f\x8b no gzip"}, "broken or cut off"),
        ({"labels": idx(CODES * 0)}, "only one class"),
        ({"classes": ["a", "b"]}, "row 0 has the label 7, but there are 2 classes"),
    ],
)
def test_files_that_are_not_such_a_pair_are_refused_and_named(
    tmp_path: Path, changes: dict[str, bytes], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        read(tmp_path, **changes)
    assert len(read(tmp_path)) == 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    source = config.plugin(
        "sources", {"name": "idx", "images": "none", "labels": "none"}, where="prepare.source"
    )
    with pytest.raises(SourceError, match="the file 'none' is missing"):
        source.read(tmp_path)
