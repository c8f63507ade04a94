from stillhouse.receipt.answers import answers
from stillhouse.receipt.attacked import beside, plain
from stillhouse.receipt.figures import figures


def test_the_plain_student_stands_beside_the_robust_one_attack_by_attack(made):
    receipt = made("robust").receipt
    rows = beside(receipt)
    assert rows[0]["label"] == "not attacked"
    assert len(rows) == 1 + len(receipt["robustness"])
    assert rows[1]["plain"][1] == 31.0
    told = answers(receipt)["withstands"]
    assert "The plain student beside it keeps 31.0\u00a0% [26.0,\u00a036.0] under L∞" in told
    assert "Beside the plain student" in made("robust").page
    assert figures(receipt)["beside"] == rows


def test_where_there_is_none_nothing_is_said(made):
    receipt = made("promoted").receipt
    assert beside(receipt) == []
    assert plain(receipt) == []
    assert "plain student" not in made("promoted").page


def test_the_page_names_what_was_not_passed_on(made):
    page, receipt = made("robust").page, made("robust").receipt
    assert receipt["transfer"]["nothing"] == 30
    assert "Passed on of what the teacher said, by class" in page
    assert "Rows that got nothing: 100, 101" in page
    assert "and 6 more" in page
    assert "Passed on of what" not in made("promoted").page


def test_the_receipt_advises_about_the_teacher(made):
    assert made("promoted").receipt["teacher_advice"]["keep"]
    assert not made("useless").receipt["teacher_advice"]["keep"]
    assert "Drop the teacher" in answers(made("useless").receipt)["teacher"]
    assert made("bare").receipt["teacher_advice"] is None
