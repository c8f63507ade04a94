"""From the bytes of a WAV file to samples in [-1, 1]; uncompressed, one channel, 8 or 16 bits."""

import io
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import SourceError


@dataclass(frozen=True)
class Sound:
    """A recording.

    Attributes:
        samples: [T], float32, in [-1, 1].
        rate: Samples a second.
    """

    samples: NDArray[np.float32]
    rate: int


def sound(data: bytes, where: str) -> Sound:
    """Return what a WAV file holds.

    Raises:
        SourceError: It is not WAV by its first bytes, compressed, of several channels or other
            bits, empty, or has fewer samples than its header says.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise SourceError(
            "the file is not WAV by its first bytes.",
            where=where,
            fix="Convert it to WAV, or take it out of the folder.",
        )
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            channels, width, rate, promised = (
                file.getnchannels(),
                file.getsampwidth(),
                file.getframerate(),
                file.getnframes(),
            )
            _require(channels, width, rate, where)
            if promised * width > len(data):
                raise SourceError(
                    f"its header promises {promised:,} samples, more than the file has.",
                    where=where,
                    fix="Copy or record it again.",
                )
            raw = file.readframes(promised)
    except (wave.Error, EOFError, RuntimeError) as error:
        said = str(error) or "it ends in its header"
        raise SourceError(
            f"the file is broken or compressed: {said}.",
            where=where,
            fix="Save it as PCM, one channel, 8 or 16 bits.",
        ) from None
    if not promised or len(raw) != promised * width:
        raise SourceError(
            f"its header promises {promised:,} samples, {len(raw) // width:,} are there.",
            where=where,
            fix="Copy or record it again.",
        )
    # Eight bits are unsigned around 128, sixteen are signed: so says the format.
    values = (
        np.frombuffer(raw, "<i2").astype(np.float32) / 32768
        if width == 2
        else (np.frombuffer(raw, "u1").astype(np.float32) - 128) / 128
    )
    return Sound(values.astype(np.float32), rate)


def _require(channels: int, width: int, rate: int, where: str) -> None:
    if channels != 1:
        raise SourceError(
            f"it has {channels} channels, not one.", where=where, fix="Mix it down to one."
        )
    if width not in (1, 2):
        raise SourceError(
            f"its samples have {8 * width} bits, not 8 or 16.", where=where, fix="Save it with 16."
        )
    if rate < 1:
        raise SourceError(
            f"its rate is {rate} samples a second.", where=where, fix="Save it again."
        )


def thinned(samples: NDArray[np.float32], every: int) -> NDArray[np.float32]:
    """Return the means of `every` samples each [T // every], which keeps most of what is above the
    new rate's half from folding back; a rest is left out.
    """
    kept = len(samples) // every * every
    means: NDArray[np.float32] = samples[:kept].reshape(-1, every).mean(axis=1, dtype=np.float32)
    return means


def fitted(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return the first `length` samples, silence after the end of shorter ones."""
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))
