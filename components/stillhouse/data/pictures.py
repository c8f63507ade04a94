"""From the bytes of a PNG or JPEG to pixels in [0, 1]; sizes are read from the header before
anything is decoded.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.bombs import require_no_bomb
from stillhouse.errors import SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64 * 2**20  # of one image; a camera's have some 20 million
GREY = ("1", "L", "I;16")
DEEP = "I;16"  # sixteen bits of grey
COLOUR = ("RGB", "P", "CMYK", "YCbCr")
CLEAR = ("LA", "PA", "RGBA")
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
ORIENTATION = 0x0112

Channels = Literal["grey", "rgb"]


@dataclass(frozen=True)
class Header:
    """What an image's header says.

    Attributes:
        size: (height, width) as people see it, after the camera's turn.
        grey: Whether it has no colour.
    """

    size: tuple[int, int]
    grey: bool


def header(data: bytes, where: str) -> Header:
    """Return what the header says.

    Raises:
        SourceError: It is neither PNG nor JPEG by its first bytes, is too large, animated, or of a
            colour space that nobody expects.
    """
    with _opened(data, where) as image:
        if image.mode not in (*GREY, *COLOUR, *CLEAR):
            raise SourceError(
                f"its pixels are of the mode {image.mode}.",
                where=where,
                fix="Save it as 8-bit grey or RGB.",
            )
        if (
            image.format == "PNG" and getattr(image, "n_frames", 1) > 1
        ):  # a telephone's JPEG may carry a second picture; the first one is meant
            raise SourceError(
                "it holds several frames.", where=where, fix="Save each frame as an image."
            )
        turned = image.getexif().get(ORIENTATION) in TURNED
        return Header(
            (image.width, image.height) if turned else (image.height, image.width),
            image.mode in (*GREY, "LA"),
        )


def pixels(data: bytes, channels: Channels, resize: int | None, where: str) -> NDArray[np.float32]:
    """Return an image [channels, height, width] in [0, 1], the right way up.

    Args:
        data: The file's bytes.
        channels: Grey is Rec. 601 luma.
        resize: The side of the square that it is squeezed or stretched to (bilinear, smoothed where
            it shrinks); None leaves it.
        where: The file, for messages.

    Raises:
        SourceError: It is cut off, broken, or see-through in places.
    """
    from PIL import Image, ImageOps

    with _opened(data, where) as opened:
        if resize is not None:
            opened.draft(None, (2 * resize, 2 * resize))  # a photograph is decoded smaller at once
        opened.load()
        image = ImageOps.exif_transpose(opened)
        if image.mode == DEEP and channels == "grey":
            image = Image.fromarray(np.asarray(image, dtype=np.float32) * np.float32(255 / 65535))
        elif image.mode == DEEP:
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        else:
            image = _solid(image, where).convert("L" if channels == "grey" else "RGB")
        if resize is not None:
            image = image.resize((resize, resize), Image.Resampling.BILINEAR)
        values: NDArray[np.float32] = np.asarray(image, dtype=np.float32) / np.float32(255)
    return values[None] if channels == "grey" else np.ascontiguousarray(values.transpose(2, 0, 1))


def _solid(image: "Image", where: str) -> "Image":
    if image.mode not in CLEAR and "transparency" not in image.info:
        return image
    full = image.convert("RGBA")
    lowest, _ = full.getchannel("A").getextrema()
    if not isinstance(lowest, int | float) or lowest < 255:
        raise SourceError(
            "it is see-through in places: what lies behind is not known.",
            where=where,
            fix="Save it on a background, without transparency.",
        )
    return full.convert("RGB")


@contextmanager
def _opened(data: bytes, where: str) -> Iterator["Image"]:
    """Open an image by its bytes, whatever its name says, and turn each of Pillow's errors into
    ours.
    """
    from PIL import Image

    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        raise SourceError(
            "the file is neither PNG nor JPEG by its first bytes.",
            where=where,
            fix="Convert it, or take it out of the folder.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # our own limit is lower, and an error
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        with image:
            if image.width * image.height > MAX_PIXELS:
                said = (
                    f"its header promises {image.width} × {image.height} pixels, more than "
                    f"{MAX_PIXELS:,}."
                )
                raise SourceError(said, where=where, fix="Make it smaller, or take it out.")
            size = image.width * image.height * len(image.getbands())
            require_no_bomb(size, len(data), where=where, what="image")
            yield image
    except Image.DecompressionBombError:
        raise SourceError(
            f"its header promises more than {MAX_PIXELS:,} pixels.",
            where=where,
            fix="Make it smaller, or take it out.",
        ) from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise SourceError(
            f"the image is cut off or broken: {str(error) or type(error).__name__}.",
            where=where,
            fix="Copy it again, or take it out.",
        ) from None
