import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.data.dataset import Dataset
from stillhouse.errors import Corrupt, UsageError
from stillhouse.knowledge.build import MANIFEST, build
from stillhouse.knowledge.store import Knowledge
from stillhouse.workspace import write_atomic

TEACHER = "t" * 64


@pytest.fixture
def store(oracle: Any, digits: Dataset, tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    build(
        oracle,
        digits,
        teacher=TEACHER,
        work=tmp_path / "work",
        write=lambda name, data: write_atomic(folder / name, data),
        shard_rows=30,
    )
    return folder


def test_the_stored_answers_are_the_teacher_s_in_the_order_of_the_rows(
    store: Path, oracle: Any, digits: Dataset
) -> None:
    found = Knowledge.open(store, digits, oracle, teacher=TEACHER).logits()
    said = oracle.logits(digits.inputs, digits.rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, said - said.amax(dim=1, keepdim=True), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.softmax(dim=1), said.softmax(dim=1), rtol=2e-2, atol=1e-3)


def test_opening_asks_the_sentinels_again_and_nothing_else(
    store: Path, oracle: Any, digits: Dataset
) -> None:
    oracle.asked = 0
    Knowledge.open(store, digits, oracle)
    assert oracle.asked == 8
    Knowledge.open(store, digits)
    assert oracle.asked == 8


def test_there_is_only_the_view_that_was_asked(store: Path, digits: Dataset) -> None:
    with pytest.raises(UsageError, match="no view 1"):
        Knowledge.open(store, digits).logits(1)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["shards"].reverse(),
        lambda said: said["shards"].pop(),
        lambda said: said["shards"].append(said["shards"][0]),
        lambda said: said.pop("rows"),
    ],
)
def test_a_manifest_that_names_other_shards_is_refused(
    store: Path, oracle: Any, digits: Dataset, change: Callable[[dict[str, Any]], object]
) -> None:
    said = json.loads((store / MANIFEST).read_bytes())
    change(said)
    (store / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(Corrupt, match="does not name the shards of all rows, one after another"):
        Knowledge.open(store, digits, oracle)


def test_shards_that_changed_places_are_refused(store: Path, oracle: Any, digits: Dataset) -> None:
    said = json.loads((store / MANIFEST).read_bytes())
    first, second = said["shards"][:2]
    for key in ("file", "sha256"):
        first[key], second[key] = second[key], first[key]
    (store / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(Corrupt, match="answers to other rows than the manifest says"):
        Knowledge.open(store, digits, oracle)


ROWS: list[tuple[Callable[[Dataset], Dataset], str]] = [
    (
        lambda rows: rows.take(torch.arange(99, -1, -1)),
        "the rows are in another order, from row 104 on",
    ),
    (lambda rows: rows.take(torch.arange(50)), "they are for 100 rows, the data have 50"),
    (lambda rows: replace(rows, rows=rows.rows + 1), "there is none for row 105"),
    (
        lambda rows: replace(rows, inputs=rows.inputs * 255),
        "the rows are the same, but their inputs, targets or schema changed",
    ),
    (
        lambda rows: replace(rows, schema=replace(rows.schema, classes=rows.classes[::-1])),
        "the classes are in another order",
    ),
    (
        lambda rows: replace(rows, schema=replace(rows.schema, classes=tuple("abcdefghij"))),
        "the data have other classes",
    ),
]


@pytest.mark.parametrize(("change", "said"), ROWS)
def test_answers_about_other_rows_are_refused_by_what_differs(
    store: Path, digits: Dataset, change: Callable[[Dataset], Dataset], said: str
) -> None:
    with pytest.raises(UsageError, match=f"stale: {said}"):
        Knowledge.open(store, change(digits))
    Knowledge.open(store, digits)


def test_another_teacher_s_fingerprint_is_refused(store: Path, digits: Dataset) -> None:
    with pytest.raises(UsageError, match="another teacher's"):
        Knowledge.open(store, digits, teacher="u" * 64)


def swapped(weight: torch.Tensor) -> torch.Tensor:
    return torch.randn(64, 10, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swapped, "its weights or its preprocessing changed"),
        (
            lambda weight: weight[:, torch.tensor([1, 0, *range(2, 10)])],
            "its classes in another order",
        ),
        (lambda weight: weight * 255, "its weights or its preprocessing changed"),
        (
            # another resize: every second pixel of a side, rather than the mean of two by two
            lambda weight: (
                weight.view(8, 8, 10)[::2, ::2]
                .repeat_interleave(2, 0)
                .repeat_interleave(2, 1)
                .flatten(0, 1)
            ),
            "its weights or its preprocessing changed",
        ),
        (
            lambda weight: weight + 0.05 * torch.eye(64)[:, :10],
            "its weights or its preprocessing changed",
        ),
    ],
)
def test_a_teacher_that_now_answers_otherwise_is_refused_by_what_differs(
    store: Path,
    oracle: Any,
    digits: Dataset,
    change: Callable[[torch.Tensor], torch.Tensor],
    said: str,
) -> None:
    honest = oracle.weight
    oracle.weight = change(honest)
    with pytest.raises(UsageError, match=said):
        Knowledge.open(store, digits, oracle)
    oracle.weight = honest
    Knowledge.open(store, digits, oracle)


def test_a_teacher_that_takes_one_row_for_another_is_refused(
    store: Path, oracle: Any, digits: Dataset
) -> None:
    class Shifted(type(oracle)):  # type: ignore[misc]
        def logits(self, inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return super().logits(inputs, rows).roll(1, dims=0)

    with pytest.raises(UsageError, match="rows are permuted"):
        Knowledge.open(store, digits, Shifted(oracle.weight))


def test_rounding_of_another_batch_size_is_not_taken_for_another_teacher(
    store: Path, oracle: Any, digits: Dataset
) -> None:
    oracle.weight = oracle.weight + 1e-6 * torch.randn(64, 10)
    assert torch.equal(
        Knowledge.open(store, digits, oracle).logits(), Knowledge.open(store, digits).logits()
    )


def test_a_shard_that_changed_or_is_missing_is_refused_by_name(
    store: Path, digits: Dataset
) -> None:
    shard = store / "view0-00002.safetensors"
    data = shard.read_bytes()
    opened = Knowledge.open(store, digits)
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Corrupt, match="not what was stored") as caught:
        Knowledge.open(store, digits)
    assert "view0-00002" in caught.value.where
    with pytest.raises(Corrupt, match="not what was stored"):
        opened.logits()
    shard.unlink()
    with pytest.raises(Corrupt, match="is missing"):
        Knowledge.open(store, digits)
    shard.write_bytes(data)
    Knowledge.open(store, digits)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "not finished"), ("{", "broken"), ("{}", "broken"), ("[1]", "broken")]
)
def test_a_store_without_a_whole_manifest_is_refused(
    store: Path, digits: Dataset, text: str | None, said: str
) -> None:
    if text is None:
        (store / MANIFEST).unlink()
    else:
        (store / MANIFEST).write_text(text)
    with pytest.raises(Corrupt, match=said):
        Knowledge.open(store, digits)


def test_a_store_of_another_format_is_refused(store: Path, digits: Dataset) -> None:
    manifest = json.loads((store / MANIFEST).read_bytes())
    (store / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(UsageError, match="format 2, not 1"):
        Knowledge.open(store, digits)
