from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.release import ledger
from stillhouse.release.ledger import (
    Append,
    Done,
    Entry,
    Intent,
    Link,
    ReadAgain,
    Stale,
    State,
    decide,
    fold,
)

E1, E2, M = "1" * 64, "2" * 64, "a" * 64


def intent(
    state: State,
    target: int,
    *,
    kind: ledger.Kind = "promote",
    parent: int | None = None,
    evidence: str = E1,
) -> Intent:
    parent = state.head if parent is None else parent
    return Intent(
        ledger.operation("m", parent, f"fingerprint {target}", evidence),
        kind,
        target,
        parent,
        evidence,
        "-",
        M,
    )


def written(entries: Sequence[Entry], move: ledger.Move) -> list[Entry]:
    assert isinstance(move, Append)
    return [*entries, Entry(len(entries) + 1, move.source, move.run_link)]


def promoted(*targets: int) -> list[Entry]:
    entries: list[Entry] = []
    for target in targets:
        entries = written(entries, decide(fold(entries, "m"), intent(fold(entries, "m"), target)))
    return entries


def test_an_empty_ledger_has_no_champion() -> None:
    state = fold([], "m")
    assert (state.head, state.champion, state.previous, state.entries, state.odd, state.holes) == (
        0,
        None,
        None,
        0,
        (),
        (),
    )


def test_promotions_follow_one_another_and_the_previous_is_remembered() -> None:
    state = fold(promoted(1, 2, 3), "m")
    assert (state.head, state.champion, state.previous) == (3, 3, 2)
    assert not state.odd


def test_of_two_over_the_same_head_the_first_takes_effect_and_the_second_is_stale() -> None:
    start = fold(promoted(1), "m")
    one, two = intent(start, 2), intent(start, 3)
    entries = written(written(promoted(1), decide(start, one)), decide(start, two))
    state = fold(entries, "m")
    assert (state.champion, state.head, state.entries, len(state.effective)) == (2, 2, 3, 2)
    assert decide(state, one) == Done(2)
    assert decide(state, two) == Stale(2, 2)
    assert not state.odd


def test_a_repeated_write_has_no_second_effect() -> None:
    start = fold(promoted(1), "m")
    wanted = intent(start, 2)
    entries = promoted(1)
    for _ in range(3):
        entries = written(entries, decide(start, wanted))
    state = fold(entries, "m")
    assert (len(state.effective), state.head, decide(state, wanted)) == (2, 2, Done(2))


def test_a_reading_older_than_what_is_known_is_evidence_of_nothing() -> None:
    old = fold(promoted(1), "m")
    assert isinstance(decide(old, intent(old, 2, parent=2)), ReadAgain)
    assert isinstance(decide(old, intent(old, 2, parent=1)), Append)


def test_a_rollback_quarantines_what_it_leaves_and_a_second_one_goes_further_back() -> None:
    entries = promoted(1, 2, 3)
    entries = written(
        entries, decide(fold(entries, "m"), intent(fold(entries, "m"), 2, kind="rollback"))
    )
    state = fold(entries, "m")
    assert (state.champion, state.previous, state.quarantined) == (2, 1, frozenset({3}))
    entries = written(entries, decide(state, intent(state, 1, kind="rollback")))
    state = fold(entries, "m")
    assert (state.champion, state.previous, state.quarantined) == (1, None, frozenset({2, 3}))


def test_promoting_a_quarantined_version_on_purpose_lifts_the_quarantine() -> None:
    entries = promoted(1, 2)
    entries = written(
        entries, decide(fold(entries, "m"), intent(fold(entries, "m"), 1, kind="rollback"))
    )
    entries = written(
        entries, decide(fold(entries, "m"), intent(fold(entries, "m"), 2, evidence=E2))
    )
    state = fold(entries, "m")
    assert (state.champion, state.previous, state.quarantined) == (2, 1, frozenset())


def test_a_forged_entry_has_no_effect_and_is_seen() -> None:
    entries = promoted(1)
    forged = Link(ledger.operation("m", 1, "evil", E1), 1, "promote", "0" * 32, E1, "-", M)
    state = fold([*entries, Entry(2, "models:/m/9", forged.text())], "m")
    assert state.champion == 1
    assert "forged" in state.odd[0]


@pytest.mark.parametrize("link", ["", "stillhouse:1", "stillhouse:2 op=x", "hello"])
def test_an_entry_of_somebody_else_has_no_effect_and_is_seen(link: str) -> None:
    state = fold([*promoted(1), Entry(2, "models:/m/9", link)], "m")
    assert (state.champion, len(state.odd)) == (1, 1)


def test_an_entry_that_points_at_another_model_has_no_effect() -> None:
    [entry] = promoted(1)
    assert fold([entry], "m").champion == 1
    assert fold([replace(entry, source="models:/other/1")], "m").champion is None


def test_a_deleted_entry_leaves_a_hole_that_is_seen() -> None:
    entries = promoted(1, 2, 3)
    state = fold([entries[0], entries[2]], "m")
    assert state.holes == (2,)
    assert state.champion == 1


def test_an_entry_changed_in_the_database_breaks_what_follows_from_it() -> None:
    first, second = promoted(1, 2)
    state = fold([replace(first, source="models:/m/7"), second], "m")
    assert state.head == 1
    assert state.odd


def test_a_changed_tag_is_seen_and_changes_nothing() -> None:
    first, second = promoted(1, 2)
    state = fold([first, replace(second, tags={"stillhouse.evidence": "f" * 64})], "m")
    assert state.champion == 2
    assert "stillhouse.evidence" in state.odd[0]
    assert not fold([first, replace(second, tags={"stillhouse.evidence": E1})], "m").odd


def test_what_an_entry_says_is_read_back_and_fits_every_database() -> None:
    link = Link(ledger.operation("m", 10**17, "x", E1), 10**17, "rollback", "0" * 32, E1, E2, M)
    assert Link.parse(link.text()) == link
    assert len(link.text()) <= ledger.LONGEST_LINK
    with pytest.raises(StillhouseError):
        replace(link, evidence="not a hash").text()


def test_equal_intents_have_equal_ops_and_others_have_others() -> None:
    assert ledger.operation("m", 1, "f", E1) == ledger.operation("m", 1, "f", E1)
    others = {
        ledger.operation(*a)
        for a in (
            ("m", 1, "f", E1),
            ("n", 1, "f", E1),
            ("m", 2, "f", E1),
            ("m", 1, "g", E1),
            ("m", 1, "f", E2),
        )
    }
    assert len(others) == 5


# A history: each writer decides on some prefix that it read, and what it then writes may be lost or
# land twice.
writes = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 4), st.booleans(), st.integers(0, 2)), max_size=24
)


@given(writes)
@settings(max_examples=200, deadline=None)
def test_however_writers_interleave_each_head_has_one_successor_and_each_op_one_effect(
    history: list[tuple[int, int, bool, int]],
) -> None:
    entries: list[Entry] = []
    for behind, target, back, copies in history:
        seen = fold(entries[: max(0, len(entries) - behind)], "m")
        going_back = back and seen.previous is not None
        wanted = (
            intent(seen, seen.previous or target, kind="rollback")
            if going_back
            else intent(seen, target)
        )
        move = decide(seen, wanted)
        before = fold(entries, "m")
        for _ in range(copies):
            entries = written(entries, move) if isinstance(move, Append) else entries
        after = fold(entries, "m")
        assert after.effective[: len(before.effective)] == before.effective, "history only grows"
        assert len(after.effective) - len(before.effective) == (
            isinstance(move, Append) and copies > 0 and before.head == wanted.parent
        )
    state = fold(entries, "m")
    parents = [e.link.parent for e in state.effective]
    assert parents == [0, *(e.entry.number for e in state.effective[:-1])][: len(parents)]
    assert len({e.link.op for e in state.effective}) == len(state.effective)
    assert state.champion not in state.quarantined
    assert state.previous is None or (
        state.previous != state.champion and state.previous not in state.quarantined
    )
    assert not state.odd
    assert not state.holes


@given(st.permutations(promoted(1, 2, 3, 2)))
@settings(max_examples=24, deadline=None)
def test_the_order_in_which_pages_arrive_does_not_matter(entries: list[Entry]) -> None:
    assert fold(entries, "m") == fold(promoted(1, 2, 3, 2), "m")


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_text_in_an_entry_can_break_the_fold(text: str) -> None:
    state = fold([*promoted(1), Entry(2, text, text)], "m")
    assert state.champion == 1
