"""The README's sentence on faults is made from what the fault suite counted, never typed."""

import json
from typing import Any

import pytest
from faults.tally import ACTIONS, BEGIN, END, FILE, NEVER, README, Tally, with_sentence


@pytest.fixture
def told() -> dict[str, Any]:
    if not FILE.is_file():
        pytest.skip("`make test-faults` has not been run whole: no docs/reliability.json")
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_the_readme_says_what_the_suite_counted() -> None:
    text = README.read_text()
    sentence = json.loads(FILE.read_text())["sentence"] if FILE.is_file() else NEVER
    assert with_sentence(text, sentence) == text
    assert with_sentence(text, sentence + "!") != text


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=BEGIN):
        with_sentence(f"no place for it {END}", "a sentence")


def test_the_suite_was_run_whole_and_found_nothing(told: dict[str, Any]) -> None:
    assert told["violations"] == []
    assert told["points"]["not_hit"] == []
    assert told["pairs"]["not_made"] == []
    assert told["pairs"]["actions"] == sorted(ACTIONS)
    assert len(told["invariants"]) == 14
    assert told["faults"]["syscall KILL"] >= 500
    assert told["points"]["hit"] >= 60


def test_counts_of_several_processes_are_added_up() -> None:
    one, other = Tally(), Tally()
    one.point("training.batch", "kill")
    other.point("training.batch", "kill")
    other.point("training.batch", "eio")
    other.held("I6", ["other bytes"])
    one.add(other.counted())
    assert one.as_dict()["faults"]["all"] == 3
    assert one.pairs == {("training.batch", "kill"), ("training.batch", "eio")}
    assert (one.checks["I6"], one.violations) == (1, ["I6: other bytes"])
