import pytest

from stillhouse.receipt.card import card
from stillhouse.receipt.summary import summary, text

STATES = ["promoted", "held", "rejected", "first", "bare", "many", "hostile"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("plain", [False, True])
def test_every_line_fits_eighty_columns(made, state, plain):
    lines = text(summary(made(state).receipt, version=7), plain=plain).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert not plain or all(line.isascii() for line in lines)


def test_a_row_tells_mark_bound_observed_and_interval(made):
    found = summary(made("promoted").receipt, version=7)
    assert (found.mark, found.word, found.title) == ("✓", "Promoted", "woods 7 replaces 6")
    rule, row = made("promoted").receipt["rules"][0], found.rows[0]
    assert (row.mark, row.name, row.required) == ("✓", "Accuracy, %", "≥ 80.0")
    assert row.observed == f"{100 * rule['observed']:.1f}"
    against = next(r for r in found.rows if r.name.startswith("Against version"))
    flips = made("promoted").receipt["flips"]
    assert against.note == f"−{flips['negative']} +{flips['positive']}"
    assert "(watched)" in found.rows[-1].name


def test_a_rule_under_attack_tells_how_many_rows_of_the_champion_settled_it(made):
    receipt = dict(made("promoted").receipt)
    [clean] = [r for r in receipt["rules"] if r["name"] == "test/accuracy vs champion"]
    attacked = {**clean, "name": "under", "metric": "robust/linf/accuracy", "rows_used": 96}
    found = summary({**receipt, "rules": [clean, attacked]}, version=7).rows
    assert found[0].note.startswith("−")
    assert found[1].note == f"96 of {clean['rows_total']}"


def test_a_rule_against_no_champion_is_told_as_not_asked(made):
    row = next(
        r for r in summary(made("first").receipt).rows if r.name.startswith("Against the champion")
    )
    assert (row.mark, row.observed, row.note) == ("–", "", "not asked")


def test_a_held_rule_tells_how_many_rows_would_decide(made):
    assert any(
        row.mark == "?" and row.note.startswith("~") for row in summary(made("held").receipt).rows
    )


def test_the_card_is_short_and_keeps_hostile_names_text(made):
    for state in STATES:
        found = card(made(state).receipt)
        assert len(found.splitlines()) < 60
        assert "<img" not in found.replace("\\<", "")
        assert "\u202e" not in found
    assert "**Promoted.**" in card(made("promoted").receipt)


def test_columns_stand_under_each_other_without_other_characters_too(made):
    receipt = made("promoted").receipt
    long = {**receipt["rules"][0], "name": "under", "metric": "robust/linf/accuracy"}
    found = summary({**receipt, "rules": [*receipt["rules"], long]}, version=7)
    lines = text(found, plain=True).splitlines()
    rules = [line for line in lines if " > " in line]
    assert any("Linf" in line for line in rules)
    head = next(line for line in lines if "required" in line)
    end = head.index("required") + len("required")
    assert all(line[end] == " " and line[end - 1].isdigit() for line in rules)
