"""The same protocol on stores that speak otherwise: emulators of Google's and Azure's.

pip install gcsfs gcp-storage-emulator; pip install adlfs, npm install --global azurite
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from knowledge import builder

from stillhouse.clock import ManualClock
from stillhouse.errors import UsageError
from stillhouse.knowledge.bucket import Bucket, bucket

KEY = (  # the emulator's own, from its documentation
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
GOOGLE = pytest.param(
    "gs",
    marks=pytest.mark.skipif(
        not (find_spec("gcsfs") and find_spec("gcp_storage_emulator")),
        reason="needs an emulator of Google's store: pip install gcsfs gcp-storage-emulator",
    ),
)
AZURE = pytest.param(
    "az",
    marks=pytest.mark.skipif(
        not (find_spec("adlfs") and shutil.which("azurite-blob")),
        reason="needs an emulator of Azure's store: pip install adlfs; npm install -g azurite",
    ),
)


def _azure(port: int, key: str = KEY) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )


@contextmanager
def _server(words: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            until = time.monotonic() + 60
            while not _listens(port):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            yield
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _google_words(port: int) -> list[str]:
    start = "from gcp_storage_emulator.__main__ import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--in-memory"]
    return [sys.executable, "-c", start, "start", *options, "--default-bucket", "answers"]


def _azure_words(port: int) -> list[str]:
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--blobPort", str(port)]
    return [str(shutil.which("azurite-blob")), *options]


@pytest.fixture(params=[GOOGLE, AZURE])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    google = request.param == "gs"
    with _server(_google_words(port) if google else _azure_words(port), port, folder):
        if google:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        else:
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", _azure(port))
            _container(_azure(port))
        yield f"{request.param}://answers/team"


def _container(address: str) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(address) as client:
        client.create_container("answers")


@pytest.fixture
def place(url: str) -> Bucket:
    return bucket(url, ManualClock())


def test_what_is_written_is_read_and_listed(url: str, place: Bucket) -> None:
    assert (place.names("a"), place.read("a/b")) == ([], b"")
    place.create("a/b", b"1")
    assert place.read("a/b") == b"1"
    place.write("a/b", b"2")
    assert (place.names("a"), place.read("a/b")) == (["b"], b"2")
    assert bucket(url).names("a") == ["b"]


def test_a_killed_builder_is_followed_and_what_it_finished_is_read(
    tmp_path: Path, url: str, place: Bucket
) -> None:
    builder.follow_a_killed_one(place, url, tmp_path, dict(os.environ))


def test_two_who_begin_at_one_moment_come_to_the_same_store(
    tmp_path: Path, url: str, place: Bucket
) -> None:
    us, them = tmp_path / "us", tmp_path / "them"
    with builder.other(them, url, environ=dict(os.environ)) as (_, line):
        line.send("go")
        assert line.recv() == builder.run(place, us, pause=0.05)
    # an emulator without conditional writes may let both ask about a shard: never about fewer rows
    assert set(builder.asked(us) + builder.asked(them)) == set(range(150))


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="there is no such bucket"):
        builder.run(bucket(url.replace("answers", "elsewhere")), tmp_path / "us")


@pytest.mark.parametrize("url", [AZURE], indirect=True)
def test_a_key_that_is_not_the_account_s_is_told_without_it(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    wrong = "A" + KEY[1:]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", address.replace(KEY, wrong))
    with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_KEY") as told:
        builder.run(bucket(url), tmp_path / "us")
    assert wrong not in f"{told.value!r} {told.value}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "")
    with pytest.raises(UsageError, match="does not let us connect"):
        bucket(url)
