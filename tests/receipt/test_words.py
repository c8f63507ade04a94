from stillhouse.receipt.words import headline, kept


def test_a_promoted_student_is_said_to_replace_the_champion(made):
    told = headline(made("promoted").receipt)
    assert told.word == "Promoted"
    assert told.lead.startswith("Student 3f9c2e1a replaces version\u00a06.")
    assert told.aside == "What this does not say"


def test_a_student_that_is_larger_than_its_teacher_is_called_that(made):
    receipt = made("promoted").receipt
    own = receipt["student"]["parameters"]
    for parameters, words in (
        (40 * own, "at 1/40 of its parameters"),
        (own, "with 1.0 times its parameters"),
        (own / 4, "with 4.0 times its parameters (the teacher is the smaller model)"),
    ):
        told = kept({**receipt, "teacher": {**receipt["teacher"], "parameters": parameters}})
        assert told.endswith(words)


def test_the_first_version_replaces_nothing(made):
    told = headline(made("first").receipt)
    assert told.word == "Promoted"
    assert told.lead.startswith("The first version of woods in production")
    assert "champion" not in told.lead


def test_a_held_student_says_what_may_be_and_what_would_decide(made):
    told = headline(made("held").receipt)
    assert told.word == "Held"
    assert told.lead.startswith("Version\u00a06 stays.")
    assert "may lie below 0.0" in told.lead
    assert "rows would decide; there are 240" in told.lines[0].text


def test_a_rejected_student_names_the_worst_failure_and_counts_the_rest(made):
    told = headline(made("rejected").receipt)
    assert told.word == "Rejected"
    assert "Under attack, L∞ 0.1: observed" in told.lead
    assert "where at least 90.0 is required. One more rule failed." in told.lead
    assert {line.section for line in told.lines} == {"withstands", "rules"}


def test_a_student_that_waits_for_approval_is_not_called_promoted(made):
    told = headline(made("awaiting").receipt)
    assert told.word == "Passed"
    assert "once somebody approves it" in told.lead


def test_there_are_one_to_three_lines_and_no_promise_beyond_the_numbers(made):
    for state in ("promoted", "held", "rejected", "first", "bare", "flawless", "useless"):
        told = headline(made(state).receipt)
        assert 1 <= len(told.lines) <= 3
        said = " ".join([told.lead, *(line.text for line in told.lines)]).lower()
        assert not [
            word for word in ("significant", "improved", "robust", "unfortunately") if word in said
        ]
