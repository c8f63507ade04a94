import errno
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from knowledge import builder

from stillhouse import environment
from stillhouse.clock import ManualClock
from stillhouse.errors import ServerUnreachable, SettingsError, StillhouseError, UsageError
from stillhouse.knowledge.bucket import Bucket, bucket
from stillhouse.knowledge.objects import PAUSES


class Shaky(MemoryFileSystem):
    """A store in memory that fails as often as it was told, in the way it was told."""

    protocol = "shaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False
    failures: ClassVar[list[Exception]] = []

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        if Shaky.failures:
            raise Shaky.failures.pop()
        super().pipe_file(path, value, mode=mode)


fsspec.register_implementation("shaky", Shaky)


@pytest.fixture
def shaky() -> type[Shaky]:
    Shaky.store.clear()
    Shaky.failures.clear()
    return Shaky


@pytest.fixture(params=["file", "shaky"])
def place(request: pytest.FixtureRequest, tmp_path: Path, shaky: object) -> Bucket:
    return bucket(f"file://{tmp_path}" if request.param == "file" else "shaky://bucket/prefix")


def test_what_is_written_is_read_and_listed(place: Bucket) -> None:
    assert place.names("a") == []
    assert place.read("a/b") == b""
    place.write("a/b", b"1")
    place.write("a/b", b"2")
    place.write("a/c", b"3")
    assert place.names("a") == ["b", "c"]
    assert place.read("a/b") == b"2"


def test_what_is_there_is_not_created_again(place: Bucket) -> None:
    place.create("a/b", b"1")
    place.create("a/b", b"2")
    assert place.read("a/b") == b"1"
    assert place.names("a") == ["b"]


def test_a_busy_store_is_asked_again_with_longer_pauses(shaky: type[Shaky]) -> None:
    clock = ManualClock()
    place = bucket("shaky://bucket", clock)
    shaky.failures += [OSError(errno.EBUSY, "Please reduce your request rate.")] * 5
    place.write("a/b", b"1")
    assert place.read("a/b") == b"1"
    assert clock.elapsed == sum(PAUSES)


SECRET = "AKIA-and-its-password"


class NoCredentialsError(Exception):
    """As a client's own errors: neither an OSError nor Python's."""


class ParamValidationError(Exception):
    """Such as of a bucket's name."""


class EndpointConnectionError(Exception):
    """Such as of a host that is away."""


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ConnectionError(SECRET), ServerUnreachable, r"did not write in 6 tries \(ConnectionError"),
        (TimeoutError(SECRET), ServerUnreachable, "then run again: what was asked is kept"),
        (PermissionError(SECRET), UsageError, "does not let us write"),
        (FileNotFoundError(SECRET), UsageError, "there is no such bucket"),
        (OSError(errno.EINVAL, SECRET), UsageError, "cannot write this"),
        (NoCredentialsError(SECRET), UsageError, "Give it credentials"),
        (ParamValidationError(SECRET), UsageError, "Check the bucket's name"),
        (EndpointConnectionError(SECRET), ServerUnreachable, "Check the network"),
    ],
)
def test_a_store_that_refuses_or_is_away_is_told_without_its_words(
    shaky: type[Shaky], error: Exception, kind: type[StillhouseError], words: str
) -> None:
    place = bucket("shaky://bucket/prefix", ManualClock())
    shaky.failures += [error] * 6
    with pytest.raises(kind, match=words) as told:
        place.write("a/b", b"1")
    assert "shaky://bucket/prefix" in str(told.value)
    assert SECRET not in f"{told.value!r} {told.value}"
    shaky.failures.clear()
    place.write("a/b", b"1")
    assert place.read("a/b") == b"1"


def test_a_mistake_of_the_program_is_not_called_the_store_s(shaky: type[Shaky]) -> None:
    shaky.failures.append(KeyError("x"))
    with pytest.raises(KeyError):
        bucket("shaky://bucket").write("a/b", b"1")


def test_a_store_that_goes_away_in_the_middle_costs_no_answer(
    shaky: type[Shaky], tmp_path: Path
) -> None:
    place = bucket("shaky://bucket", ManualClock())
    write, left = place.write, [3]

    def fails_after_three(name: str, data: bytes) -> None:
        if name.endswith(".safetensors"):
            left[0] -= 1
            shaky.failures += [ConnectionError()] * (6 if left[0] < 0 else 0)
        write(name, data)

    place.write = fails_after_three  # type: ignore[method-assign]
    with pytest.raises(ServerUnreachable, match="run again"):
        builder.run(place, tmp_path / "us")
    assert builder.asked(tmp_path / "us") == list(range(120))
    shaky.failures.clear()
    builder.run(bucket("shaky://bucket"), tmp_path / "us")
    assert builder.asked(tmp_path / "us") == list(range(150))  # none of them twice
    builder.run(bucket("shaky://bucket"), tmp_path / "them")
    assert builder.asked(tmp_path / "them") == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///no/such/folder", "is no folder that is there"),
        ("file://host/folder", "is no folder that is there"),
        ("nowhere://bucket", "nothing speaks nowhere://"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        bucket(url)


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "file:///tmp?key=secret", "s3://b#s"])
def test_credentials_in_the_url_are_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("STILLHOUSE_KNOWLEDGE", url)
    with pytest.raises(SettingsError, match="more than a bucket and a prefix") as told:
        environment.place(tmp_path)
    assert "secret" not in str(told.value)
    monkeypatch.setenv("STILLHOUSE_KNOWLEDGE", f"file://{tmp_path}/")
    assert environment.place(tmp_path).knowledge == f"file://{tmp_path}"


def test_a_store_whose_library_is_not_installed_is_refused_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environment.STORES, "s3", ("no_such_library", "stillhouse[s3]"))
    monkeypatch.setenv("STILLHOUSE_KNOWLEDGE", "s3://bucket")
    with pytest.raises(SettingsError, match=r"pip install 'stillhouse\[s3\]'"):
        environment.place(tmp_path)
    monkeypatch.setitem(environment.STORES, "s3", ("json", "stillhouse[s3]"))
    assert environment.place(tmp_path).knowledge == "s3://bucket"


def test_a_folder_needs_no_library_of_a_store(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from stillhouse.knowledge.bucket import bucket; "
        f"bucket('file://{tmp_path}'); sys.exit('fsspec' in sys.modules and 'torch' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ)).returncode == 0
