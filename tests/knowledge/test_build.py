import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse import failpoints
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError
from stillhouse.evaluation.tasks import CLASSIFICATION
from stillhouse.knowledge.build import MANIFEST, build
from stillhouse.knowledge.question import sentinel_places
from stillhouse.workspace import write_atomic

Writer = Callable[[str, bytes], None]


def into(folder: Path) -> Writer:
    return lambda name, data: write_atomic(folder / name, data)


def run(oracle: Any, rows: Dataset, place: Path, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "teacher": "t" * 64,
        "work": place / "work",
        "write": into(place / "store"),
        "shard_rows": 30,
        **changes,
    }
    return build(oracle, rows, **given)


@pytest.fixture
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_shifting_a_row_changes_no_softmax_and_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[1e6, 1e6 - 3, -1e6], [5.0, 2.0, 1.0]])
    kept = CLASSIFICATION.stored(logits)
    assert torch.isfinite(kept).all()
    assert kept.amax(dim=1).tolist() == [0.0, 0.0]
    torch.testing.assert_close(
        kept.float().softmax(dim=1), logits.double().softmax(dim=1).float(), rtol=2e-3, atol=1e-6
    )


def test_sentinels_are_at_most_eight_and_spread_from_the_first_row_to_the_last() -> None:
    assert sentinel_places(100) == [0, 14, 28, 42, 57, 71, 85, 99]
    assert sentinel_places(3) == [0, 1, 2]
    assert sentinel_places(1) == [0]
    assert sentinel_places(0) == []


def test_the_manifest_comes_last_and_lists_every_shard(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    written: list[str] = []
    manifest = run(oracle, digits, tmp_path, write=lambda name, data: written.append(name))
    assert written == [shard["file"] for shard in manifest["shards"]] + [MANIFEST]
    assert [shard["rows"] for shard in manifest["shards"]] == [30, 30, 30, 10]
    assert [sentinel["row"] for sentinel in manifest["sentinels"]] == digits.rows[
        sentinel_places(100)
    ].tolist()


def test_the_same_question_gives_the_same_bytes(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        run(oracle, digits, tmp_path / place)
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / place / "store").iterdir()}
        for place in ("one", "two")
    )
    assert one == two


@pytest.mark.usefixtures("disarmed")
@pytest.mark.parametrize(
    ("point", "asked"),
    [
        ("knowledge.before_shard=raise@3", 40),
        ("knowledge.after_shard=raise@3", 10),
        ("knowledge.before_manifest=raise", 0),
    ],
)
def test_after_a_failure_only_what_is_missing_is_asked_and_the_bytes_are_the_same(
    oracle: Any, digits: Dataset, tmp_path: Path, point: str, asked: int
) -> None:
    whole = run(oracle, digits, tmp_path / "whole")
    failpoints.arm(point)
    with pytest.raises(failpoints.Injected):
        run(oracle, digits, tmp_path)
    assert not (tmp_path / "store" / MANIFEST).exists()
    oracle.asked = 0
    assert run(oracle, digits, tmp_path) == whole
    assert oracle.asked == asked
    assert json.loads((tmp_path / "store" / MANIFEST).read_bytes()) == whole


def test_a_waiting_shard_whose_bytes_changed_is_asked_again(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    whole = run(oracle, digits, tmp_path)
    [victim] = (tmp_path / "work").rglob("00001.*.safetensors")
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x00\x01")
    oracle.asked = 0
    assert run(oracle, digits, tmp_path) == whole
    assert oracle.asked == 30


def test_shards_of_another_teacher_or_other_rows_are_not_taken(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    run(oracle, digits, tmp_path)
    oracle.asked = 0
    run(oracle, digits, tmp_path, teacher="u" * 64)
    assert oracle.asked == 100
    run(oracle, digits.take(torch.arange(99, -1, -1)), tmp_path)
    assert oracle.asked == 200
    run(oracle, digits, tmp_path)
    assert oracle.asked == 200


def test_an_answer_that_is_not_a_number_names_its_row(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    inputs = digits.inputs.clone()
    inputs[42, 0, 0, 0] = float("nan")
    spoilt = Dataset(inputs, digits.targets, digits.schema, digits.rows)
    with pytest.raises(SourceError, match="not a finite number for row 47"):
        run(oracle, spoilt, tmp_path)
    assert not (tmp_path / "store" / MANIFEST).exists()
