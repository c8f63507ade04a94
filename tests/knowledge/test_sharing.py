"""Machines that share no folder and no lock: one asks, whoever dies or sleeps on the way."""

import os
import signal
from pathlib import Path

import pytest
from knowledge import builder

from stillhouse.knowledge.bucket import Folder, bucket
from stillhouse.knowledge.shared import Sharing, file_of
from stillhouse.knowledge.store import Knowledge
from stillhouse.workspace import sha256_bytes


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "bucket").mkdir()
    return f"file://{tmp_path}/bucket"


def test_what_a_killed_builder_finished_is_read_and_only_the_rest_is_asked(
    tmp_path: Path, url: str
) -> None:
    us, them, waited = tmp_path / "us", tmp_path / "them", []
    with builder.other(them, url, "knowledge.before_share=kill@3") as (dies, line):
        line.send("go")
        builder.wait_for(them / "asked")  # it asks, and holds the lease
        told = builder.run(bucket(url), us, waiting=lambda: waited.append(1))
        dies.join()
        assert dies.exitcode == -signal.SIGKILL
    assert waited == [1]
    assert builder.asked(them) == list(range(90))
    assert builder.asked(us) == list(range(60, 150))  # the shard that the other died with
    assert told == builder.run(bucket(url), tmp_path / "third")
    assert builder.asked(tmp_path / "third") == []
    held = Knowledge.open(us / "store", builder.rows(), builder.teacher(us))
    assert held.fingerprint == told


def test_of_two_who_begin_at_one_moment_no_row_is_asked_by_both(tmp_path: Path, url: str) -> None:
    us, them = tmp_path / "us", tmp_path / "them"
    with builder.other(them, url) as (_, line):
        line.send("go")
        assert line.recv() == builder.run(bucket(url), us, pause=0.05)
    assert sorted(builder.asked(us) + builder.asked(them)) == list(range(150))


def test_who_gives_no_sign_of_life_is_followed_and_wakes_up_to_read_what_is_there(
    tmp_path: Path, url: str
) -> None:
    us, them = tmp_path / "us", tmp_path / "them"
    points = "knowledge.before_shard=stop@3"
    with builder.other(them, url, points, term=1.0) as (sleeps, line):
        line.send("go")
        builder.wait_for(them / "asked")
        told = builder.run(bucket(url), us, term=1.0)
        os.kill(sleeps.pid, signal.SIGCONT)
        assert line.recv() == told
    assert builder.asked(them) == list(range(90))  # its third shard it had asked already
    assert builder.asked(us) == list(range(60, 150))


def test_a_shard_whose_bytes_are_not_those_of_its_name_is_asked_again(
    tmp_path: Path, url: str
) -> None:
    told = builder.run(bucket(url), tmp_path / "us")
    [victim] = (tmp_path / "bucket").rglob("00004.*.safetensors")
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + b"\x00\x01")
    assert builder.run(bucket(url), tmp_path / "them") == told
    assert builder.asked(tmp_path / "them") == list(range(120, 150))
    assert victim.read_bytes() == whole  # and it is whole again for all


def test_what_was_asked_before_there_was_a_bucket_is_given_to_it(tmp_path: Path, url: str) -> None:
    builder.run(Folder(tmp_path), tmp_path / "us")
    builder.run(bucket(url), tmp_path / "us")
    assert len(builder.asked(tmp_path / "us")) == 150
    assert len(list((tmp_path / "bucket").rglob("*.safetensors"))) == 5


def test_two_answers_to_one_question_are_told_apart_by_their_hash(tmp_path: Path) -> None:
    shelf = Sharing(Folder(tmp_path), "us").of("question")
    shelf.offer("00000", b"one")
    shelf.bucket.write(f"question/{file_of('00000', b'two')}", b"two")
    assert shelf.find("00000", lambda who: None) in (b"one", b"two")
    shelf.offer("00000", b"three")
    assert sorted(shelf.bucket.read(f"question/{name}") for name in shelf.bucket.names("question"))
    assert not any(sha256_bytes(b"three") in name for name in shelf.bucket.names("question"))
