"""One bomb a format, read in a process of their own: refused within 2 s and 300 MB, where a harmless
file of that format is read.
"""

import gzip
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHILD = """
import json, sys, time
from pathlib import Path
from stillhouse import config
from stillhouse.errors import SourceError

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

told = {}
for name, (spec, folder) in json.loads(sys.stdin.read()).items():
    source = config.plugin("sources", spec, where="prepare.source")
    began = time.perf_counter()
    try:
        said = f"read {len(source.read(Path(folder)))}"
    except SourceError as error:
        said = str(error)
    told[name] = {"said": said, "seconds": time.perf_counter() - began, "mb": peak()}
print(json.dumps(told))
"""
MIB = 2**20
ZEROS = b"\0" * MIB


def zipped_arrays(path: Path, mebibytes: int) -> None:
    """An npz of zeros, its array's header true."""
    header = np.zeros(0, np.uint8)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("inputs.npy", "w", force_zip64=True) as file:
            shape = (mebibytes * 2**10, 32, 32)
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            for _ in range(mebibytes):
                file.write(ZEROS)
        with archive.open("targets.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(len(header) + 4) % 2)


def gzipped(path: Path, head: bytes, part: bytes, times: int) -> None:
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(head)
        for _ in range(times):
            file.write(part)


def png(width: int, height: int, says: int = 0) -> bytes:
    """A black grey PNG of that size; `says` is the side that its header tells instead."""
    packer = zlib.compressobj(9)
    row = b"\0" * (width + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        )

    size = (says or width).to_bytes(4, "big") + (says or height).to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size + b"\x08\0\0\0\0")
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def idx(path: Path, shape: tuple[int, ...], parts: int, part: bytes) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in shape)
    gzipped(path, bytes([0, 0, 8, len(shape)]) + sizes, part, parts)


def csv_bomb(folder: Path) -> dict[str, Any]:
    gzipped(folder / "t.csv.gz", b"a,y\n", b"1,a\n2,b\n" * 2**17, 48)
    return {"name": "csv", "path": "t.csv.gz", "target": "y"}


def csv_good(folder: Path) -> dict[str, Any]:
    gzipped(folder / "t.csv.gz", b"a,y\n", b"1,a\n2,b\n" * 500, 1)
    return {"name": "csv", "path": "t.csv.gz", "target": "y"}


def long_cell(folder: Path) -> dict[str, Any]:
    (folder / "t.csv").write_bytes(b"a,y\n1,a\n2," + b"x" * MIB + b"\n")
    return {"name": "csv", "path": "t.csv", "target": "y"}


def npz_bomb(folder: Path) -> dict[str, Any]:
    zipped_arrays(folder / "t.npz", 64)
    return {"name": "npz", "path": "t.npz", "kind": "image"}


def npz_good(folder: Path) -> dict[str, Any]:
    zeros = np.zeros((40, 1, 8, 8))
    np.savez_compressed(folder / "t.npz", inputs=zeros, targets=np.arange(40) % 2)
    return {"name": "npz", "path": "t.npz"}


def idx_files(folder: Path, rows: int, side: int, parts: int, part: bytes) -> dict[str, Any]:
    idx(folder / "i.gz", (rows, side, side), parts, part)
    idx(folder / "l.gz", (rows,), 1, bytes(at % 2 for at in range(rows)))
    return {"name": "idx", "images": "i.gz", "labels": "l.gz"}


def idx_bomb(folder: Path) -> dict[str, Any]:
    return idx_files(folder, 64, 1024, 64, ZEROS)


def idx_good(folder: Path) -> dict[str, Any]:
    return idx_files(folder, 20, 28, 1, bytes(20 * 28 * 28))


def images(folder: Path, data: bytes) -> dict[str, Any]:
    for at in range(4):
        place = folder / "rows" / "ab"[at % 2] / f"{at}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if at == 3 else png(8, 8))
    return {"name": "imagefolder", "path": "rows", "resize": 8}


def image_bomb(folder: Path) -> dict[str, Any]:
    return images(folder, png(6000, 6000))


def image_of_lies(folder: Path) -> dict[str, Any]:
    return images(folder, png(8, 8, says=2**30))


def image_good(folder: Path) -> dict[str, Any]:
    return images(folder, png(800, 800))


def parquet(folder: Path, rows: int) -> dict[str, Any]:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    codes = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(2, dtype=np.int8), rows // 2)), pa.array(["a", "b"])
    )
    table = pa.table({"x": pa.array(np.zeros(rows, np.int8)), "y": codes})
    pq.write_table(table, folder / "t.parquet", compression="zstd", row_group_size=10**9)
    return {"name": "parquet", "path": "t.parquet", "target": "y"}


def parquet_bomb(folder: Path) -> dict[str, Any]:
    return parquet(folder, 4_000_000)


def parquet_good(folder: Path) -> dict[str, Any]:
    return parquet(folder, 2000)


def wav(folder: Path, promised: int) -> dict[str, Any]:
    import io
    import wave

    for at in range(4):
        held = io.BytesIO()
        with wave.open(held, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2000))
        data = bytearray(held.getvalue())
        if at == 3 and promised:
            data[40:44] = promised.to_bytes(4, "little")
        place = folder / "rows" / "ab"[at % 2] / f"{at}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(data))
    return {"name": "wavfolder", "path": "rows", "length": 100}


def wav_bomb(folder: Path) -> dict[str, Any]:
    return wav(folder, 2**31)


def wav_good(folder: Path) -> dict[str, Any]:
    return wav(folder, 0)


BOMBS: dict[str, tuple[Callable[[Path], dict[str, Any]], Callable[[Path], dict[str, Any]], str]] = {
    "a gzip of text": (csv_bomb, csv_good, "times its own size"),
    "one long cell": (long_cell, csv_good, "line 3: field larger than field limit"),
    "an npz": (npz_bomb, npz_good, "times its own size"),
    "a gzip of pixels": (idx_bomb, idx_good, "times its own size"),
    "an image": (image_bomb, image_good, "times its own size"),
    "an image's header": (image_of_lies, image_good, "its header promises"),
    "a parquet": (parquet_bomb, parquet_good, "times its own size"),
    "a sound's header": (wav_bomb, wav_good, "its header promises"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a process of its own said to each bomb, and then to its harmless like."""
    asked = {}
    for at, which in enumerate(("bomb", "good")):
        for name, pair in BOMBS.items():
            folder = tmp_path_factory.mktemp(which)
            asked[f"{which}: {name}"] = (pair[at](folder), str(folder))
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: memory is not told")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly_and_in_little_memory(
    told: dict[str, dict[str, Any]], name: str
) -> None:
    bomb, good = told[f"bomb: {name}"], told[f"good: {name}"]
    assert BOMBS[name][2] in bomb["said"], bomb["said"]
    assert bomb["seconds"] < 2
    assert bomb["mb"] < 300
    assert good["said"].startswith("read "), good["said"]
