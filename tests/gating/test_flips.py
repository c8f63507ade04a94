import numpy as np

from stillhouse.gating.flips import flips


def test_flips_count_name_and_test_the_rows_that_changed():
    student = np.array([True, True, False, False, True])
    champion = np.array([True, False, True, False, False])
    found = flips(student, champion, np.array([10, 11, 12, 13, 14]), "version 6")
    assert found == {
        "against": "version 6",
        "negative": 1,
        "positive": 2,
        "rows_negative": [12],
        "rows_positive": [11, 14],
        "both_right": 1,
        "both_wrong": 1,
        "p": 1.0,
    }
