from pathlib import Path

import numpy as np
import pytest
import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse_flows.intake.giveaway import giveaways
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.look import guess
from stillhouse_flows.intake.plan import plan, read

ROWS = 600
DRAW = np.random.default_rng(0)
SICK = DRAW.integers(0, 2, ROWS)
NOISE = DRAW.normal(size=ROWS)


def table(column: np.ndarray, targets: np.ndarray = SICK) -> tuple[Dataset, Dataset]:
    """A column of noise and one more, in two halves."""
    quantity = Quantity("cost") if targets.dtype.kind == "f" else None
    schema = Schema(
        "table",
        (2,),
        () if quantity else ("well", "sick"),
        (Feature("noise"), Feature("told", missing=True)),
        "regression" if quantity else "classification",
        quantity,
    )
    inputs = torch.tensor(np.stack([NOISE, column], 1)).float()
    rows = Dataset(inputs, torch.tensor(targets), schema, torch.arange(ROWS))
    return rows.take(torch.arange(400)), rows.take(torch.arange(400, ROWS))


def flipped(share: float) -> np.ndarray:
    return np.where(DRAW.random(ROWS) < share, 1 - SICK, SICK)


@pytest.mark.parametrize(
    "column",
    [
        np.where(SICK == 1, DRAW.normal(size=ROWS), np.nan),  # a cell that only the sick have
        SICK * 7.0 + 3,
        SICK * 12 + DRAW.integers(0, 12, ROWS),  # codes, each of one class
        flipped(0.002),
    ],
)
def test_a_column_that_tells_the_target_by_itself_is_named(column: np.ndarray) -> None:
    found = giveaways(*table(column))
    assert list(found) == ["told"]
    assert found["told"] > 0.98


@pytest.mark.parametrize("column", [NOISE[::-1], SICK + NOISE, flipped(0.05)])
def test_one_that_only_helps_is_not(column: np.ndarray) -> None:
    assert giveaways(*table(column)) == {}


def test_of_a_rare_class_what_guessing_has_right_counts_for_nothing() -> None:
    rare = (np.arange(ROWS) % 50 == 0).astype(int)
    missed = np.where(np.arange(ROWS) % 100 == 0, 0, rare)  # half of them: 99 % of the rows
    assert giveaways(*table(missed, rare)) == {}
    assert list(giveaways(*table(rare * 2, rare))) == ["told"]


def test_of_a_quantity_it_is_the_variance_that_is_told() -> None:
    cost = DRAW.gamma(2.0, 100.0, ROWS)
    assert list(giveaways(*table(cost * 1.19, cost))) == ["told"]
    assert giveaways(*table(cost + 100 * NOISE, cost)) == {}


def test_whoever_brings_such_a_table_is_asked_about_the_column(tmp_path: Path) -> None:
    causes = ["heart", "lung"]
    lines = [
        f"{at},{n + s:.3f},{causes[at % 2] if s else ''},{'yes' if s else 'no'}"
        for at, (n, s) in enumerate(zip(NOISE, SICK, strict=True))
    ]
    path = tmp_path / "deaths.csv"
    path.write_text("id,marker,cause,died\n" + "\n".join(lines))
    notes = []
    for hints in (Hints(target="died"), Hints(target="died", drop=("cause",))):
        told, dataset = read(guess(path, tmp_path, hints), tmp_path)
        notes.append(" ".join(plan(dataset, told).notes))
    assert "cause alone tells 100.0 % of held-out rows' targets" in notes[0]
    assert "--drop cause" in notes[0]
    assert "alone tells" not in notes[1]
