"""A model's life by the gate, in one story of real runs: each goes on where the one before left the
house.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.house import WARNINGS, House, project
from sklearn.datasets import load_digits

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]

ALPHA, FIRST, LATER = 0.05, 900, 1300
SETTINGS: dict[str, Any] = {
    "prepare": {
        "source": {"name": "npz", "path": "rows.npz"},
        "kind": "image",
        "labelled": 150,
        "unlabelled": 100,
    },
    "tune": {"trials": 1},
    "distill": {"epochs": 60, "seeds": 1, "optimizer": {"name": "adamw", "lr": 0.01}},
    "robustness": {"attacks": [], "corruptions": []},
    "gate": {
        "alpha": ALPHA,
        "life": True,
        "rules": [
            {"metric": "test/accuracy", "at_least": 0.5},
            {"metric": "test/accuracy", "against": "champion", "margin": 0.06},
            {"metric": "flips/negative", "against": "champion", "at_most": 0.25},
        ],
    },
}


def rows(path: Path, count: int) -> None:
    """Write the first rows of scikit-learn's digits."""
    found = load_digits()
    np.savez(path, inputs=found.images[:count, None] / 16.0, targets=found.target[:count])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("a life")
    rows(place / "rows.npz", FIRST)
    return project(place / "house", SETTINGS, [place / "rows.npz"])


def spent(look: int) -> float:
    return ALPHA * 6 / (math.pi * look) ** 2


def verdict(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.artifact("gate/verdict.json")
    return found


def test_the_first_student_is_promoted_and_no_comparison_is_counted(house: House):
    house.stillhouse("run")
    assert house.ledger().champion == 1
    assert verdict(house)["life"] is None
    assert verdict(house)["alpha"] == ALPHA


def test_a_planted_worse_student_is_held_back_by_the_real_gate_and_spends_its_part(house: House):
    house.stillhouse("run", "--set", "distill.epochs=2", code=3)
    told = verdict(house)
    assert told["verdict"] in ("hold", "reject")
    assert told["life"] == {"alpha": ALPHA, "look": 1, "spent": pytest.approx(spent(1))}
    lost = next(rule for rule in told["rules"] if rule["against"] == "champion")
    assert lost["verdict"] != "pass"
    assert house.ledger().champion == 1
    # the gate said of itself, on these very rows, how surely it would
    assert lost["audit"]["kind"] == "equal"
    assert 0 <= lost["audit"]["fails"] <= 0.05
    assert 0 <= lost["audit"]["found"] <= 1


def test_rows_that_came_since_are_told_from_those_the_champion_was_tested_on(house: House):
    before = len(np.load(house.root / "rows.npz")["targets"])
    rows(house.root / "rows.npz", LATER)
    house.stillhouse("run", code=None)
    told = verdict(house)
    assert before < LATER
    assert told["rows"]["frozen"] > 0
    assert told["rows"]["new"] > 0
    assert told["rows"]["gone"] == 0  # a row leaves its split never, as data grow
    assert told["life"]["look"] == 2
    assert told["alpha"] == pytest.approx(spent(2))
    sentences = " ".join(rule["sentence"] for rule in told["rules"])
    assert "version 1 was tested on" in sentences or told["verdict"] == "promote"


def test_a_better_student_is_promoted_and_its_receipt_tells_what_of_alpha_is_spent(house: House):
    more = "prepare.labelled=400", "prepare.unlabelled=200", "distill.epochs=200"
    house.stillhouse("run", *(word for one in more for word in ("--set", one)))
    told = verdict(house)
    assert told["verdict"] == "promote"
    assert told["life"]["look"] == 3
    state = house.ledger()
    assert state.champion is not None
    assert state.champion > 1
    page = " ".join((house.root / "artifacts/report/receipt.html").read_text().split())
    assert "comparison 3" in page or "third comparison" in page or "3rd" in page
    assert f"{100 * spent(3):.2g}" in page


def test_the_same_question_asked_again_is_not_counted_twice(house: House):
    head = house.ledger().head
    house.stillhouse("run", code=None)
    look = verdict(house)["life"]
    house.stillhouse("run", code=None)
    assert verdict(house)["life"] == look
    assert house.ledger().head >= head
