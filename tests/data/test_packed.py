"""Twenty evil archives: each is refused by name, nothing outside is touched, and the same archive
without its evil is read.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse import config
from stillhouse.data.packed import members
from stillhouse.errors import SourceError
from stillhouse.workspace import sha256

GOOD = {"set/cat/0.png": b"zero", "set/dog/1.png": b"one"}


def tarred(path: Path, *evil: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in GOOD.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in evil:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def zipped(path: Path, *evil: zipfile.ZipInfo, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in GOOD.items():
            archive.writestr(name, held)
        for member in evil:
            archive.writestr(member, data)
    return path


def tape(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 1
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.size = size if kind == tarfile.REGTYPE else 0
    return member


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr, member.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    return member


def pax_bomb(path: Path) -> Path:
    """A header that promises four gigabytes of its own."""
    member = tape("PaxHeader", tarfile.XHDTYPE)
    member.size = 4 * 2**30
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    return path


def zeros(path: Path) -> Path:
    return tarred(path, tape("set/cat/big.png", size=40 * 2**20))


def zip_zeros(path: Path) -> Path:
    return zipped(path, entry("set/cat/big.png"), data=bytes(40 * 2**20))


def lying_zip(path: Path) -> Path:
    """A zip whose directory says that a file has fewer bytes than it has."""
    data = bytearray(zipped(path, entry("set/cat/2.png"), data=b"y" * 999).read_bytes())
    for magic, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        data[data.rfind(magic) + at : data.rfind(magic) + at + 4] = (5).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    return path


def cut_off(path: Path) -> Path:
    path.write_bytes(tarred(path).read_bytes()[:-30])
    return path


EVIL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a name with ..": (lambda p: tarred(p, tape("set/../../out.png")), "no folder would have"),
    "a name that is ..": (lambda p: tarred(p, tape("..")), "no folder would have"),
    "an absolute name": (lambda p: tarred(p, tape("/tmp/out.png")), "no folder would have"),
    "a Windows drive": (lambda p: tarred(p, tape("c:/out.png")), "no folder would have"),
    "a backslash": (lambda p: tarred(p, tape("set\\..\\out.png")), "no folder would have"),
    "a control character": (lambda p: tarred(p, tape("set/cat/a\x1b[2J.png")), "no folder would"),
    "a right-to-left name": (lambda p: tarred(p, tape("set/cat/\u202egnp.0")), "no folder would"),
    "an empty part": (lambda p: tarred(p, tape("set// /0.png")), "no folder would have"),
    "a symbolic link": (
        lambda p: tarred(p, tape("set/cat/2.png", tarfile.SYMTYPE, "/etc/passwd")),
        "no regular file",
    ),
    "a hard link": (
        lambda p: tarred(p, tape("set/cat/2.png", tarfile.LNKTYPE, "/etc/passwd")),
        "no regular file",
    ),
    "a device": (lambda p: tarred(p, tape("set/cat/2.png", tarfile.CHRTYPE)), "no regular file"),
    "a pipe": (lambda p: tarred(p, tape("set/cat/2.png", tarfile.FIFOTYPE)), "no regular file"),
    "a name twice": (lambda p: tarred(p, tape("set/cat/0.png")), "'set/cat/0.png' twice"),
    "a name twice in two alphabets": (
        lambda p: tarred(p, tape("set/cat/e\u0301"), tape("set/cat/\u00e9")),
        "twice",
    ),
    "a bomb": (zeros, "times its own size"),
    "a header's bomb": (pax_bomb, "a header of it promises|times its own size|broken"),
    "a zip with ..": (lambda p: zipped(p, entry("../out.png")), "no folder would have"),
    "a zip with a link": (lambda p: zipped(p, entry("set/cat/2.png", 0o120777)), "no regular file"),
    "a zip bomb": (zip_zeros, "times its own size"),
    "a zip that lies": (lying_zip, "broken"),
    "a cut off tape": (cut_off, "broken"),
}


def tree(folder: Path) -> dict[str, str]:
    return {str(p): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_evil_archive_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    make, said = EVIL[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "out.png").write_bytes(b"mine")
    path = make(tmp_path / "in" / "set.archive")
    before = tree(tmp_path)
    with pytest.raises(SourceError, match=said) as caught:
        members(path)
    assert "set.archive" in str(caught.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["w", "w:gz", "zip"])
def test_a_plain_archive_is_read_without_its_top_folder_and_hidden_files(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "set.archive"
    if kind == "zip":
        zipped(path, entry("__MACOSX/set/cat/._0.png"), entry("set/.DS_Store"))
    else:
        tarred(path, tape("set/cat/.hidden"), tape("set/empty", tarfile.DIRTYPE), mode=kind)
    assert members(path) == {"cat/0.png": b"zero", "dog/1.png": b"one"}
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(SourceError, match=r"no zip, tar or tar\.gz by its first bytes"):
        members(tmp_path / "text")


def test_images_in_an_archive_are_the_rows_that_the_folder_gives(tmp_path: Path) -> None:
    from PIL import Image

    for at in range(8):
        place = tmp_path / "set" / ("cat", "dog")[at % 2] / f"{at}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * at).save(place)
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "set", arcname="set")

    def read(name: str):  # type: ignore[no-untyped-def]
        spec = {"name": "imagefolder", "path": name}
        return config.plugin("sources", spec, where="prepare.source").read(tmp_path)

    folder, packed = read("set"), read("set.tar.gz")
    assert packed.fingerprint() == folder.fingerprint()
    assert packed.keys == folder.keys
