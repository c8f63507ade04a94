import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from release import house

from stillhouse.errors import Refused
from stillhouse.pipeline import champion
from stillhouse.release import ledger
from stillhouse.release.history import history
from stillhouse.release.looks import look
from stillhouse.release.registry import Registry
from stillhouse.release.status import problems
from stillhouse.workspace import Workspace


def test_a_comparison_is_counted_once_and_takes_no_effect(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    assert [look(registry, what) for what in ("a", "b", "a", "c", "b")] == [1, 2, 1, 3, 2]
    state = registry.state()
    assert (state.head, state.champion, len(state.effective), state.looked) == (1, 1, 1, 3)
    assert (problems(registry), history(registry)["without_effect"]) == ([], 0)


def test_a_promotion_over_the_head_that_was_looked_at_still_counts(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    assert look(registry, "a") == 1
    house.release(root, model, house.student(2), 1)
    state = registry.state()
    assert (state.champion, state.head) == (2, 3)
    assert look(registry, "a") == 2  # the same student over another champion is another comparison


def test_counted_at_once_every_comparison_has_its_own_number(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda at: look(registry, f"student {at % 4}"), range(8)))
    assert sorted(numbers[:4]) == [1, 2, 3, 4]
    assert numbers[4:] == numbers[:4]


def test_before_the_first_promotion_there_is_nothing_to_compare_with(registry: Registry) -> None:
    with pytest.raises(Refused, match="no champion"):
        look(registry, "a")


def test_an_entry_that_was_written_twice_counts_once_and_a_forged_one_is_odd() -> None:
    first = ledger.Link("0" * 36, 0, "promote", ledger.next_chain("m", 0, "", "")).text()
    entries = [ledger.Entry(1, "models:/m/1", first)]
    state = ledger.fold(entries, "m")
    move = ledger.looking(state, ledger.look_name("m", 1, "a"))
    entries += [ledger.Entry(n, move.source, move.run_link) for n in (2, 3)]
    state = ledger.fold(entries, "m")
    assert (len(state.looks), state.looked, state.head, state.odd) == (1, 2, 1, ())
    forged = dataclasses.replace(entries[2], number=4, run_link=move.run_link + " head=9")
    assert ledger.fold([*entries, forged], "m").odd


@dataclasses.dataclass
class Bench:
    """What the pipeline knows of a project when it writes down the champion."""

    registry: Registry
    workspace: Workspace
    params: dict[str, Any]


def test_the_gate_finds_the_number_of_its_comparison_and_another_try_has_another(
    root: Path, model: str, registry: Registry, tmp_path: Path
) -> None:
    house.release(root, model, house.student(1))
    bench = Bench(registry, Workspace(tmp_path), {"gate": {"life": True, "alpha": 0.05}})

    def told(rows: bytes = b"rows", **gate: Any) -> dict[str, Any]:
        bench.workspace.write_bytes("artifacts/prepare/test.safetensors", rows)
        bench.params = {"gate": {"life": True, "alpha": 0.05, **gate}}
        champion.refresh(bench)  # type: ignore[arg-type]
        return bench.workspace.read_json(champion.JSON)

    first = told()
    assert (first["look"], first["version"]) == (1, 1)
    assert told() == first
    assert told(rows=b"more rows")["look"] == 2
    assert told(alpha=0.1)["look"] == 3
    assert told() == first
    assert "look" not in told(life=False)
    assert registry.state().looked == 3
