"""One folder, several processes: the teacher is asked once, whoever dies on the way."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stillhouse import environment
from stillhouse.data.sources.digits import Digits
from stillhouse.errors import SettingsError
from stillhouse.knowledge.build import build
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.teacher import oracle
from stillhouse.workspace import write_atomic

BUILDER = """
import sys, time
from pathlib import Path
import torch
from stillhouse import failpoints
from stillhouse.data.sources.digits import Digits
from stillhouse.knowledge.build import build
from stillhouse.teachers.teacher import oracle

place = Path(sys.argv[1])
digits = Digits().read(Path()).take(torch.arange(300))
weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
log = (place / "asked").open("a")


def answer(inputs, rows):
    for row in rows.tolist():
        print(row, file=log, flush=True)
    print(".", end="", flush=True)
    time.sleep(0.1)
    return inputs.flatten(1) @ weight


failpoints.arm("knowledge.before_shard=kill@5")
build(oracle(answer), digits, teacher="t" * 64, work=place / "shared", shard_rows=30,
      write=lambda file, data: None)
"""


def test_of_two_builders_one_asks_and_what_a_killed_one_finished_is_read_by_the_other(
    tmp_path: Path,
) -> None:
    digits = Digits().read(Path()).take(torch.arange(300))
    weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
    asked: list[int] = []
    waited: list[int] = []

    def answer(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        asked.extend(rows.tolist())
        return inputs.flatten(1) @ weight

    words = [sys.executable, "-c", BUILDER, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as dies:
        assert dies.stdout is not None
        assert dies.stdout.read(1) == b"."  # it asks, and holds the folder
        manifest = build(
            oracle(answer),
            digits,
            teacher="t" * 64,
            work=tmp_path / "shared",
            write=lambda file, data: write_atomic(tmp_path / "store" / file, data),
            shard_rows=30,
            waiting=lambda: waited.append(dies.pid),
        )
        its = [int(line) for line in (tmp_path / "asked").read_text().split()]
        assert dies.wait() == -signal.SIGKILL
    assert waited == [dies.pid]
    assert its == list(range(150))
    assert asked == list(range(120, 300))  # the shard that the other died in, and what was left
    assert manifest["count"] == 300
    Knowledge.open(tmp_path / "store", digits, oracle(answer))


@pytest.mark.parametrize("text", ["somewhere/here", "/no/such/folder"])
def test_a_shared_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("STILLHOUSE_KNOWLEDGE", text)
    with pytest.raises(SettingsError, match="is no folder that is there"):
        environment.place(tmp_path)
    monkeypatch.setenv("STILLHOUSE_KNOWLEDGE", str(tmp_path))
    assert environment.place(tmp_path).knowledge == tmp_path
