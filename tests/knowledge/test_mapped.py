import re
from pathlib import Path

import pytest
import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.knowledge import store
from stillhouse.knowledge.build import build
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.teacher import oracle
from stillhouse.workspace import write_atomic

ROWS, CLASSES = 40_000, 500  # 40 MB as fp16


def anonymous() -> int:
    """Bytes of this process that are in memory and in no file."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    place = tmp_path_factory.mktemp("large")
    names = tuple(f"c{at}" for at in range(CLASSES))
    rows = Dataset(
        torch.arange(ROWS, dtype=torch.float32)[:, None] / ROWS,
        torch.full((ROWS,), -1),
        Schema("table", (1,), names, (Feature("x"),)),
        torch.arange(ROWS),
    )
    slope = torch.linspace(-3, 3, CLASSES)
    build(
        oracle(lambda inputs, rows: inputs * slope),
        rows,
        teacher="t" * 64,
        work=place / "work",
        write=lambda name, data: write_atomic(place / name, data),
        shard_rows=2048,
    )
    return place, rows


def test_answers_that_are_many_are_looked_at_without_being_in_memory(
    stored: tuple[Path, Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "MAPPED_BYTES", 2**20)
    found = Knowledge.open(*stored)
    found.every(tmp_path)  # the file is written shard by shard; whatever is kept in reserve is now
    before = anonymous()
    answers = found.every(tmp_path)
    seen = sum(float(answers[start::997].float().sum()) for start in range(0, 997, 100))
    assert anonymous() - before < 8 * 2**20
    assert answers.shape == (ROWS, CLASSES)
    whole = found.every()
    assert torch.equal(answers[::1000].float(), whole[::1000])
    assert seen == pytest.approx(sum(float(whole[s::997].sum()) for s in range(0, 997, 100)))


def test_answers_that_are_few_are_read(stored: tuple[Path, Dataset], tmp_path: Path) -> None:
    assert Knowledge.open(*stored).every(tmp_path).dtype == torch.float32
    assert list(tmp_path.iterdir()) == []


def test_nobody_changes_the_file_through_the_answers(
    stored: tuple[Path, Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "MAPPED_BYTES", 2**20)
    found = Knowledge.open(*stored)
    found.every(tmp_path)[0] = 7.0
    assert float(found.every(tmp_path)[0].max()) == 0.0
