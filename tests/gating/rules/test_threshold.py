import numpy as np
import pytest

from stillhouse.errors import SettingsError
from stillhouse.gating.evidence import Evidence, Exact, Rows
from stillhouse.gating.rules.threshold import Threshold

FOUND = Evidence(
    {"test/accuracy": Rows({"student": np.arange(540) < 516}), "edge/size_kb": Exact(12.0)},
    540,
    {"edge/int8_size_kb": "no int8."},
)


def test_a_share_is_tested_an_exact_number_is_compared_and_a_missing_one_stays_open():
    share = Threshold(metric="test/accuracy", at_least=0.9).ask(FOUND, 0.05)
    assert (share.observed, share.bound, share.direction, share.unit) == (
        516 / 540,
        0.9,
        ">=",
        "share",
    )
    assert share.test is not None
    assert share.test.met < 1e-4
    size = Threshold(metric="edge/size_kb", at_most=20).ask(FOUND, 0.05)
    assert size.exact
    assert size.reaches(12.0)
    assert not size.reaches(21.0)
    missing = Threshold(metric="edge/int8_size_kb", at_most=20).ask(FOUND, 0.05)
    assert (missing.observed, missing.why) == (None, "no int8.")


def test_exactly_one_bound_is_asked_for():
    assert Threshold(metric="edge/size_kb", at_most=20).label == "edge/size_kb ≤ 20"
    with pytest.raises(SettingsError, match="neither"):
        Threshold(metric="edge/size_kb")
