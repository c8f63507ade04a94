import numpy as np
import pytest

from stillhouse.evaluation.paired import Pairs
from stillhouse.gating.evidence import Errors, Evidence, Groups, Ranked, Rows
from stillhouse.gating.frozen import BothTest, frozen_rows, restricted
from stillhouse.gating.matched import MatchedTest
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge

HALF = np.arange(400) < 200


def evidence(frozen=HALF):
    """The student loses 10 of the champion's 200 rows, and wins 60 of the 200 that came since."""
    champion = np.arange(400) < 200
    student = (np.arange(400) >= 10) & (np.arange(400) < 260)
    return Evidence(
        {
            "test/accuracy": Rows({"student": student, "champion": champion}),
            "flips/negative": Rows({"student": champion & ~student}),
        },
        400,
        champion="version 3",
        frozen=frozen,
    )


GAIN = {"metric": "test/accuracy", "against": "champion", "margin": 0.01}
FLIPS = {"metric": "flips/negative", "against": "champion", "at_most": 0.05}


def test_rows_that_came_since_do_not_decide_alone():
    both, today = (
        judge(parse([GAIN, FLIPS]), evidence()),
        judge(parse([GAIN, FLIPS]), evidence(None)),
    )
    assert [f.verdict for f in today.findings] == ["pass", "pass"]
    assert today.verdict == "promote"
    assert [f.verdict for f in both.findings] == ["fail", "undecided"]
    assert both.findings[0].rows_used == both.findings[1].rows_used == 200
    assert "version 3 was tested on" in both.findings[0].sentence


def test_both_have_to_pass_and_either_may_fail_corrected_for_two():
    today, frozen = MatchedTest(Pairs(2, 9, 900), 0.02), MatchedTest(Pairs(9, 3, 200), 0.02)
    test = BothTest(today, frozen)
    assert test.met == max(today.met, frozen.met)
    assert test.missed == min(1.0, 2 * min(today.missed, frozen.missed))
    assert (test.binding, test.rows) == (frozen, 200)


def test_only_what_is_known_by_row_can_be_asked_of_some_rows():
    values = np.arange(400.0)
    assert (
        restricted(Errors({"student": values}, "kg"), HALF).by_row["student"].tolist()
        == values[:200].tolist()
    )
    assert restricted(Ranked({"student": values}, HALF), HALF).positive.all()
    assert restricted(Rows({"student": HALF[:50]}), HALF) is None
    assert restricted(Groups({"a": HALF}), HALF) is None


def test_where_every_row_was_there_before_nothing_is_frozen():
    assert frozen_rows(["a", "b"], ["b", "a", "c"]) is None
    assert frozen_rows(["a", "x"], ["a"]).tolist() == [True, False]


@pytest.mark.parametrize("gates", [True, False])
def test_with_none_of_its_rows_left_nobody_can_tell(gates):
    told = judge(parse([{**GAIN, "gates": gates}, FLIPS]), evidence(np.zeros(400, bool)))
    assert (told.findings[1].verdict, told.findings[1].observed) == ("undecided", None)
    assert "none of the rows that version 3 was tested on" in told.findings[1].sentence
    assert (told.findings[0].verdict, told.findings[0].observed) == ("undecided", None)


def grouped(lost):
    """Flips by two groups of 400 rows, even and odd ones."""
    even = np.arange(400) % 2 == 0
    inside = {"class even": even, "class odd": ~even}
    outcomes = {name: lost[rows] for name, rows in inside.items()}
    found = Groups(outcomes, inside=inside)
    return Evidence({"flips/worst_class": found}, 400, champion="version 3", frozen=HALF)


def test_the_worst_class_is_asked_of_the_champions_own_rows_too():
    bound = {"metric": "flips/worst_class", "against": "champion", "at_most": 0.1}
    # a tenth of the old odd rows flips, none of those that came since
    lost = (np.arange(400) % 2 == 1) & (np.arange(400) < 60)
    told = judge(parse([bound]), grouped(lost)).findings[0]
    assert told.verdict == "fail"
    assert told.about == "class odd of the rows that version 3 was tested on"
    assert told.observed == 30 / 100
    # as many among the rows that came since do not pass either, and none at all does
    assert judge(parse([bound]), grouped(lost[::-1])).findings[0].verdict != "pass"
    assert judge(parse([bound]), grouped(np.zeros(400, bool))).findings[0].verdict == "pass"


def test_a_group_without_a_frozen_row_is_left_out_of_them():
    found = grouped(np.zeros(400, bool)).measured["flips/worst_class"]
    even = restricted(found, np.arange(400) % 2 == 0)
    assert list(even.outcomes) == ["class even"]
    assert len(even.outcomes["class even"]) == 200
    assert restricted(found, np.zeros(400, bool)) is None
