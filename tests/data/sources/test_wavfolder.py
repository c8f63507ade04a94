import io
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, SourceError

TONE = (np.sin(np.arange(20) / 2) * 30000).astype("<i2")


def recorded(
    samples: np.ndarray = TONE, rate: int = 8000, channels: int = 1, width: int = 0
) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width or samples.dtype.itemsize)
        made.setframerate(rate)
        made.writeframes(samples.tobytes())
    return file.getvalue()


WAV = recorded()


def read(folder: Path, files: dict[str, bytes] | None = None, **settings: object) -> Dataset:
    place = folder / "sounds"
    for name, data in {
        "yes/1.wav": WAV,
        "yes/2.wav": WAV,
        "no/1.wav": WAV,
        "no/2.wav": WAV,
        **(files or {}),
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    source = config.plugin(
        "sources",
        {"name": "wavfolder", "path": "sounds", "length": 16, **settings},
        where="prepare.source",
    )
    made: Dataset = source.read(folder)
    return made


def test_sixteen_bits_become_a_series_between_minus_one_and_one(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.inputs.shape == (4, 16, 1)
    assert found.classes == ("no", "yes")
    assert found.targets.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(found.inputs[0, :, 0].numpy(), TONE[:16] / 32768)


def test_eight_bits_are_unsigned_around_silence(tmp_path: Path) -> None:
    found = read(
        tmp_path, {"no/0.wav": recorded(np.array([0, 128, 255], dtype=np.uint8))}, length=3
    )
    np.testing.assert_allclose(found.inputs[0, :, 0].numpy(), [-1, 0, 127 / 128])


def test_short_recordings_end_in_silence(tmp_path: Path) -> None:
    found = read(tmp_path, {"no/0.wav": recorded(TONE[:5])})
    assert found.inputs[0, 5:].abs().sum() == 0
    assert found.inputs[0, 1:5].abs().min() > 0


def test_thinning_takes_means(tmp_path: Path) -> None:
    found = read(tmp_path, length=6, decimate=3)
    np.testing.assert_allclose(
        found.inputs[0, :, 0].numpy(), TONE[:18].reshape(6, 3).mean(axis=1) / 32768, rtol=1e-5
    )


def test_names_say_class_and_speaker(tmp_path: Path) -> None:
    place = tmp_path / "sounds"
    place.mkdir()
    for name in ("7_anna_0", "7_ben_0", "10_anna_0", "10_ben_1"):
        (place / f"{name}.wav").write_bytes(WAV)
    source = config.plugin(
        "sources",
        {"name": "wavfolder", "path": "sounds", "length": 16, "pattern": "{label}_{group}_{n}"},
        where="prepare.source",
    )
    found = source.read(tmp_path)
    assert found.classes == ("7", "10")
    assert found.targets.tolist() == [1, 1, 0, 0]
    assert found.groups is not None
    assert found.groups.tolist() == [found.groups[0], found.groups[1]] * 2
    assert len(found.groups.unique()) == 2
    (place / "noise.wav").write_bytes(WAV)
    with pytest.raises(SourceError, match=r"noise\.wav: the name does not follow the pattern"):
        source.read(tmp_path)


def patched(at: int, data: bytes) -> bytes:
    return WAV[:at] + data + WAV[at + len(data) :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (recorded(np.repeat(TONE, 2), channels=2), "2 channels, not one"),
        (recorded(TONE.astype("<i4")), "32 bits, not 8 or 16"),
        (recorded(rate=16000), "16,000 samples a second, the files before it 8,000"),
        (recorded(TONE[:0]), "promises 0 samples"),
        (WAV[:-6], "samples"),
        (WAV[:30], "broken or compressed"),
        (patched(20, b"\x06\x00"), "broken or compressed"),
        (patched(40, b"\xff\xff\xff\x7f"), "promises 1,073,741,823 samples"),
        (b"OggS", "not WAV by its first bytes"),
        (b"", "not WAV by its first bytes"),
    ],
    ids=[
        "stereo",
        "32 bits",
        "another rate",
        "empty",
        "cut off",
        "cut in the header",
        "a-law",
        "huge",
        "ogg",
        "no bytes",
    ],
)
def test_a_recording_that_cannot_be_a_row_is_refused_by_name(
    tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, {"yes/odd.wav": data})
    assert str(caught.value).startswith("yes/odd.wav: ")
    (tmp_path / "sounds/yes/odd.wav").unlink()
    assert len(read(tmp_path)) == 4


def test_rows_that_would_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="would take more than 4 GiB"):
        read(tmp_path, length=2**29)


def test_settings_that_do_not_fit_are_refused() -> None:
    for settings in (
        {},
        {"length": 0},
        {"length": 5, "decimate": 0},
        {"length": 5, "pattern": "{speaker}"},
    ):
        with pytest.raises(SettingsError, match=r"prepare\.source"):
            config.plugin(
                "sources",
                {"name": "wavfolder", "path": "sounds", **settings},
                where="prepare.source",
            )


def test_a_recording_of_another_rate_is_not_answered_and_says_why(tmp_path: Path) -> None:
    made = read(tmp_path)
    assert made.schema.rate == 8000
    assert Schema.from_dict(made.schema.as_dict()).rate == 8000
    place = tmp_path / "new"
    place.mkdir()
    (place / "a.wav").write_bytes(WAV)
    (place / "b.wav").write_bytes(recorded(rate=16_000))
    source = config.plugin(
        "sources", {"name": "wavfolder", "path": "sounds", "length": 16}, where="prepare.source"
    )
    told = source.rows(place, made.schema)
    assert told.names == ("a.wav", "b.wav")
    assert told.refused == {
        1: "it has 16,000 samples a second, the model learned from 8,000: resample it"
    }
    unknown = replace(made.schema, rate=0)  # a model of before rates were kept
    assert source.rows(place, unknown).refused == {}
