import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError, SourceError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)


def encoded(values: np.ndarray | Image.Image, form: str = "PNG", **settings: object) -> bytes:
    file = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(file, form, **settings)
    return file.getvalue()


PNG = encoded(GREY)


def read(folder: Path, files: dict[str, bytes] | None = None, **settings: object) -> Dataset:
    place = folder / "images"
    given = {
        "cat/1.png": PNG,
        "cat/2.png": PNG,
        "dog/1.png": PNG,
        "dog/2.png": PNG,
        **(files or {}),
    }
    for name, data in given.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    source = config.plugin(
        "sources", {"name": "imagefolder", "path": "images", **settings}, where="prepare.source"
    )
    made: Dataset = source.read(folder)
    return made


def test_a_class_is_a_folder_and_rows_follow_the_names(tmp_path: Path) -> None:
    found = read(
        tmp_path, {"cat/deep/0.png": encoded(255 - GREY), ".git/x.png": b"", "cat/.hidden": b""}
    )
    assert found.inputs.shape == (5, 1, 6, 8)
    assert found.classes == ("cat", "dog")
    assert found.targets.tolist() == [0, 0, 0, 1, 1]
    assert found.rows.tolist() == list(range(5))
    np.testing.assert_allclose(found.inputs[0, 0].numpy() * 255, GREY, atol=1e-4)
    np.testing.assert_allclose(found.inputs[2, 0].numpy() * 255, 255 - GREY, atol=1e-4)


def test_one_colour_image_makes_all_of_them_colour_unless_told(tmp_path: Path) -> None:
    files = {"dog/2.png": encoded(COLOUR)}
    found = read(tmp_path, files)
    assert [f.name for f in found.schema.features] == ["red", "green", "blue"]
    np.testing.assert_allclose(found.inputs[3].numpy().transpose(1, 2, 0) * 255, COLOUR, atol=1e-4)
    assert (found.inputs[0, 0] == found.inputs[0, 2]).all()
    assert read(tmp_path, files, channels="grey").inputs.shape == (4, 1, 6, 8)
    assert read(tmp_path, {"dog/2.png": PNG}, channels="rgb").inputs.shape == (4, 3, 6, 8)


def test_a_jpeg_named_png_is_read_as_what_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, {"cat/1.png": encoded(GREY, "JPEG", quality=95), "cat/2.jpg": PNG})
    np.testing.assert_allclose(found.inputs[0, 0].numpy() * 255, GREY, atol=12)
    assert (found.inputs[0] != found.inputs[1]).any()


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (encoded(Image.fromarray(GREY > 100)), 1),
        (encoded(GREY.astype(np.uint16) * 257), 1),
        (encoded(Image.fromarray(COLOUR).convert("P")), 3),
        (encoded(Image.fromarray(COLOUR).convert("RGBA")), 3),
        (encoded(Image.fromarray(GREY).convert("LA")), 1),
        (encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), 3),
    ],
    ids=["one bit", "sixteen bits", "palette", "alpha", "grey alpha", "cmyk"],
)
def test_every_usual_mode_is_read(tmp_path: Path, data: bytes, channels: int) -> None:
    found = read(tmp_path, {"cat/1.png": data})
    assert found.schema.shape[0] == channels
    assert found.inputs.min() >= 0
    assert found.inputs[0].max() > 0.5
    assert found.inputs.max() <= 1


def test_sixteen_bits_are_scaled_by_their_own_range(tmp_path: Path) -> None:
    deep = read(tmp_path, {"cat/1.png": encoded(GREY.astype(np.uint16) * 257)})
    np.testing.assert_allclose(deep.inputs[0].numpy(), deep.inputs[1].numpy(), atol=1e-6)
    np.testing.assert_allclose(
        read(tmp_path, channels="rgb").inputs[0, 1].numpy() * 255, GREY, atol=1e-4
    )


def test_a_photograph_is_turned_as_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = encoded(Image.fromarray(GREY).transpose(Image.Transpose.ROTATE_90), exif=exif)
    found = read(tmp_path, {"cat/1.png": upright})
    np.testing.assert_allclose(found.inputs[0].numpy(), found.inputs[1].numpy())


def test_resize_brings_all_to_one_square(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"dog/2.png": encoded(np.full((9, 30), 80, dtype=np.uint8)), "dog/3.png": encoded(COLOUR)},
        resize=4,
    )
    assert found.inputs.shape == (5, 3, 4, 4)
    np.testing.assert_allclose(found.inputs[3].numpy() * 255, 80, atol=1e-4)


def test_names_may_say_group_and_label(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {f"{label}/{who}_9.png": PNG for label in ("cat", "dog") for who in ("ann", "bob")}
        | {"cat/1.png": PNG},
    )
    assert found.groups is None
    folder = tmp_path / "named"
    folder.mkdir()
    files = {
        f"images/{label}.{who}.{n}.png": PNG
        for label in "xy"
        for who in ("ann", "bob")
        for n in range(2)
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    source = config.plugin(
        "sources",
        {"name": "imagefolder", "path": "images", "pattern": "{label}.{group}.{n}"},
        where="prepare.source",
    )
    found = source.read(folder)
    assert found.classes == ("x", "y")
    assert found.groups is not None
    assert len(found.groups.unique()) == 2


def promising(width: int, height: int, data: bytes = bytes(1000)) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


JPEG = encoded(np.random.default_rng(0).integers(0, 255, (6, 8), dtype=np.uint8), "JPEG")
CLEAR = np.dstack([COLOUR, GREY])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encoded(GREY[:5]), "8 × 5 pixels, 4 others have 8 × 6.*resize"),
        (PNG[:-30], "cut off or broken"),
        (PNG[:20], "cut off or broken"),
        (JPEG[:-20], "cut off or broken"),
        (JPEG[:40], "cut off or broken"),
        (promising(9000, 9000), "9000 × 9000 pixels, more than"),
        (promising(60000, 60000), "cut off or broken: Image size|more than"),
        (promising(8, 6, bytes(10)), "cut off or broken"),
        (b"GIF89a", "neither PNG nor JPEG"),
        (b"", "neither PNG nor JPEG"),
        (b"\x80\x04 a pickle", "neither PNG nor JPEG"),
        (encoded(CLEAR), "see-through"),
        (
            encoded(
                Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(255 - GREY)]
            ),
            "several frames",
        ),
    ],
    ids=[
        "another size",
        "cut png",
        "png head",
        "cut jpeg",
        "jpeg head",
        "large",
        "bomb",
        "bad data",
        "gif",
        "empty",
        "pickle",
        "transparent",
        "animated",
    ],
)
def test_an_image_that_cannot_be_a_row_is_refused_by_name(
    tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, {"dog/odd.png": data})
    assert str(caught.value).startswith("dog/odd.png: ")
    (tmp_path / "images/dog/odd.png").unlink()
    assert len(read(tmp_path)) == 4


def test_a_folder_that_says_no_class_is_refused(tmp_path: Path) -> None:
    source = config.plugin(
        "sources", {"name": "imagefolder", "path": "images"}, where="prepare.source"
    )
    with pytest.raises(SourceError, match="the folder 'images' is missing"):
        source.read(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match="holds no file"):
        source.read(tmp_path)
    read(tmp_path)
    (tmp_path / "images" / "stray.png").write_bytes(PNG)
    with pytest.raises(SourceError, match=r"stray\.png: the file stands beside the class folders"):
        source.read(tmp_path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "images/cat/0.png").symlink_to(tmp_path / "secret.png")
    assert len(read(tmp_path)) == 4


def test_settings_that_do_not_fit_are_refused() -> None:
    for settings in (
        {"resize": 0},
        {"resize": 5000},
        {"channels": "blue"},
        {"pattern": "{speaker}"},
    ):
        with pytest.raises(SettingsError, match=r"prepare\.source"):
            config.plugin(
                "sources",
                {"name": "imagefolder", "path": "images", **settings},
                where="prepare.source",
            )
