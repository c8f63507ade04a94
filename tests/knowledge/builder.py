"""One builder of a bucket's answers, here or in a process of its own; it writes the rows that it
asked about into a file.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch import Tensor

from stillhouse import failpoints
from stillhouse.data.dataset import Dataset
from stillhouse.data.sources.digits import Digits
from stillhouse.knowledge.bucket import Bucket, bucket
from stillhouse.knowledge.build import build
from stillhouse.knowledge.shared import Sharing
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.teacher import Oracle, oracle
from stillhouse.workspace import dump_json, sha256_bytes, write_atomic

ROWS, SHARD = 150, 30


def rows() -> Dataset:
    return Digits().read(Path()).take(torch.arange(ROWS))


def teacher(folder: Path, pause: float = 0.0) -> Oracle:
    folder.mkdir(parents=True, exist_ok=True)
    weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))

    def answer(inputs: Tensor, rows: Tensor) -> Tensor:
        with (folder / "asked").open("a") as log:
            log.write(" ".join(map(str, rows.tolist())) + "\n")
        time.sleep(pause)
        return inputs.flatten(1) @ weight

    return oracle(answer)


def asked(folder: Path) -> list[int]:
    if not (folder / "asked").exists():
        return []
    return [int(row) for row in (folder / "asked").read_text().split()]


def follow_a_killed_one(place: Bucket, url: str, folder: Path, environ: dict[str, str]) -> None:
    """Build where another builder was killed after two shards: those are read, not asked for again,
    and the store is whole.
    """
    us, them = folder / "us", folder / "them"
    with other(them, url, "knowledge.before_share=kill@3", environ=environ) as (dies, line):
        line.send("go")
        wait_for(them / "asked")
        told = run(place, us)
        dies.join()
        assert dies.exitcode == -signal.SIGKILL
    assert asked(them) == list(range(90))
    assert asked(us) == list(range(60, 150))
    assert Knowledge.open(us / "store", rows(), teacher(us)).fingerprint == told


def wait_for(*files: Path) -> None:
    until = time.monotonic() + 60
    while not all(file.is_file() and file.stat().st_size for file in files):
        assert time.monotonic() < until, files
        time.sleep(0.01)


def run(
    place: Bucket,
    folder: Path,
    *,
    term: float = 30.0,
    pause: float = 0.0,
    waiting: Callable[[], None] = lambda: None,
    name: str = "us",
) -> str:
    manifest = build(
        teacher(folder, pause),
        rows(),
        teacher="t" * 64,
        work=folder / "work",
        shard_rows=SHARD,
        write=lambda file, data: write_atomic(folder / "store" / file, data),
        waiting=waiting,
        shared=Sharing(place, name, term),
    )
    return sha256_bytes(dump_json(manifest))


def work(
    url: str, folder: Path, term: float, points: str, environ: dict[str, str], line: Connection
) -> None:
    """Build in a process of its own, once a word has come; answer with the manifest's hash."""
    torch.set_num_threads(1)
    os.environ.update(environ)
    line.recv()
    failpoints.arm(points)
    line.send(run(bucket(url), folder, term=term, pause=0.05, name="them"))


@contextmanager
def other(
    folder: Path,
    url: str,
    points: str = "",
    term: float = 30.0,
    environ: dict[str, str] | None = None,
) -> Iterator[tuple[BaseProcess, Connection]]:
    """Start another builder; it begins when it is sent a word."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["knowledge.builder"])
    line, theirs = context.Pipe()
    process = context.Process(target=work, args=(url, folder, term, points, environ or {}, theirs))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, [before])]
    )
    try:
        process.start()
    finally:
        os.environ.pop("PYTHONPATH")
        os.environ.update({} if before is None else {"PYTHONPATH": before})
    theirs.close()
    try:
        yield process, line
    finally:
        process.kill()
        process.join()
        process.close()
        line.close()
