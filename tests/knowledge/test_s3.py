"""The same protocol on a real S3 server: moto's, in a process of its own, behind a proxy that fails.

pip install 'stillhouse[s3]' 'moto[s3,server]'
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from knowledge import builder
from servers.proxy import Fault, Proxy

from stillhouse.clock import ManualClock
from stillhouse.errors import ServerUnreachable, UsageError
from stillhouse.knowledge.bucket import Bucket, bucket
from stillhouse.knowledge.objects import PAUSES

pytestmark = pytest.mark.skipif(
    not (find_spec("s3fs") and find_spec("moto")),
    reason="needs an S3 server: pip install 'stillhouse[s3]' 'moto[s3,server]'",
)
URL = "s3://answers/team"
KEY, SECRET = "the-key", "the-secret-of-the-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    with log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        until = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield port
        process.kill()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def proxy(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    between = Proxy(server).open()
    for name, value in {
        "AWS_ENDPOINT_URL": between.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    _make(between)
    yield between
    between.close()


def _make(between: Proxy) -> None:
    """Make an empty bucket."""
    for path, method in (("/moto-api/reset", "POST"), ("/answers", "PUT")):
        request = urllib.request.Request(between.url + path, method=method, data=b"")
        urllib.request.urlopen(request).close()


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@pytest.fixture
def place(proxy: Proxy) -> Bucket:
    return bucket(URL, ManualClock())


def test_what_is_written_is_read_and_listed_and_not_created_again(place: Bucket) -> None:
    assert place.names("a") == []
    assert place.read("a/b") == b""
    place.create("a/b", b"1")
    place.create("a/b", b"2")
    assert place.read("a/b") == b"1"
    place.write("a/b", b"3")
    assert (place.names("a"), place.read("a/b")) == (["b"], b"3")
    assert bucket(URL).names("a") == ["b"]


def test_a_killed_builder_is_followed_and_what_it_finished_is_read(
    tmp_path: Path, place: Bucket, proxy: Proxy
) -> None:
    builder.follow_a_killed_one(place, URL, tmp_path, _environ())


def test_two_who_begin_at_one_moment_ask_each_row_once(
    tmp_path: Path, place: Bucket, proxy: Proxy
) -> None:
    us, them = tmp_path / "us", tmp_path / "them"
    with builder.other(them, URL, environ=_environ()) as (_, line):
        line.send("go")
        assert line.recv() == builder.run(place, us, pause=0.05)
    assert sorted(builder.asked(us) + builder.asked(them)) == list(range(150))


def test_throttled_it_goes_on_also_where_the_store_acted_and_said_that_it_had_not(
    tmp_path: Path, proxy: Proxy
) -> None:
    clock, plain = ManualClock(), builder.run(bucket(URL), tmp_path / "plain")
    _make(proxy)
    every = frozenset(range(1, 100, 3))
    proxy.faults = [
        Fault("unavailable_after", r"lease-000001", frozenset({1, 2}), method="PUT"),
        Fault("unavailable_after", r"safetensors", every, method="PUT"),
        Fault("error_before", r"list-type", every, method="GET"),
    ]
    assert builder.run(bucket(URL, clock), tmp_path / "us") == plain
    assert builder.asked(tmp_path / "us") == list(range(150))
    assert proxy.struck["unavailable_after"] >= 3
    assert proxy.struck["error_before"] >= 1


def test_the_network_away_in_the_middle_costs_no_answer(
    tmp_path: Path, proxy: Proxy, capfd: pytest.CaptureFixture[str]
) -> None:
    us, clock = tmp_path / "us", ManualClock()

    def cut(method: str, path: str) -> None:
        if method == "PUT" and re.search(r"00002\..*safetensors", path):
            proxy.faults = [Fault("drop_before")]

    proxy.watch = cut
    with pytest.raises(ServerUnreachable, match="run again: what was asked is kept") as told:
        builder.run(bucket(URL, clock), us)
    assert clock.elapsed == sum(PAUSES)
    assert URL in str(told.value)
    assert builder.asked(us) == list(range(90))
    proxy.quiet()
    proxy.watch = lambda method, path: None
    builder.run(bucket(URL), us)
    assert builder.asked(us) == list(range(150))
    builder.run(bucket(URL), tmp_path / "them")
    assert builder.asked(tmp_path / "them") == []
    said = "".join(capfd.readouterr()) + str(told.value)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (KEY, SECRET):
        assert secret not in said
        assert secret.encode() not in kept


def test_a_bucket_that_is_not_there_and_no_credentials_are_told(
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="there is no such bucket"):
        builder.run(bucket("s3://elsewhere", ManualClock()), tmp_path / "us")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UsageError, match="AWS_PROFILE"):
        builder.run(bucket(URL, ManualClock()), tmp_path / "us")
