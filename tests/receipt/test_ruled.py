import pytest

from stillhouse.receipt.numbers import count, fixed, milliseconds, plain, points, signed
from stillhouse.receipt.plots import axis, staircase
from stillhouse.receipt.ruled import _digits, place, ruled


def test_a_bound_is_always_at_the_same_place_and_right_of_it_is_met():
    assert place(0.96, 0.98, 0.99, bound=0.95)[0] > 35
    assert place(0.90, 0.92, 0.94, bound=0.95)[2] < 35
    low, _, high = place(0.94, 0.955, 0.97, bound=0.95)
    assert low < 35 < high
    assert place(10, 12, 14, bound=64, most=True)[0] > 35
    assert place(5, 5, 5, bound=5) == (35, 35, 35)
    for strip in (
        place(0, 0, 1, bound=0.5),
        place(-9, -5, 0, bound=0.01),
        place(1e6, 1e7, 1e8, bound=0),
    ):
        assert all(0 <= x <= 100 for x in strip)


def test_a_whisker_lies_on_the_side_that_the_verdict_says(made):
    for state in ("promoted", "held", "rejected", "first"):
        for rule in ruled(made(state).receipt):
            if rule.strip and rule.interval != "exact":
                low, _, high = rule.strip
                assert {
                    "pass": low >= 35 - 1e-9,
                    "fail": high <= 35 + 1e-9,
                    "undecided": low <= 35 <= high,
                }[rule.verdict]


def test_an_accuracy_under_attack_is_named_with_its_epsilon(made):
    names = [
        rule.name
        for rule in ruled(made("promoted").receipt)
        if rule.metric == "robust/linf/accuracy"
    ]
    assert names == ["Under attack, L∞ 0.1"]


@pytest.mark.parametrize(
    ("bound", "digits"),
    [(3773.748, 0), (1234.5, 1), (123.4567, 1), (0.9, 3), (0.0312, 4), (2.25, 2), (None, 1)],
)
def test_a_bound_that_was_worked_out_has_no_more_digits_than_count(bound, digits):
    assert _digits(bound, 1.0) == digits


def test_a_difference_is_told_in_points_with_its_sign(made):
    rule = next(r for r in ruled(made("promoted").receipt) if r.against == "champion")
    assert (rule.unit, rule.required) == ("points", "≥ −5.0")
    assert rule.observed[0] in "+−"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (fixed(-0.04), "0.0"),
        (fixed(-1.26), "−1.3"),
        (fixed(12345.678), "12,345.7"),
        (signed(0.5), "+0.5"),
        (signed(0.0), "0.0"),
        (points(-0.031), "−3.1"),
        (count(1, "row"), "1 row"),
        (count(2345, "row"), "2,345 rows"),
        (milliseconds(0.00714), "0.0071"),
        (milliseconds(123.4), "123"),
    ],
)
def test_numbers_are_written_as_people_read_them(written, expected):
    assert written == expected


def test_what_cannot_be_seen_is_shown():
    assert plain("a\u202eb\x00c\u2028d\u2066", 20) == "a␣b␣c␣d␣"
    assert plain("x" * 400) == "x" * 299 + "…"
    assert plain("é ✓ 漢", 20) == "é ✓ 漢"


@pytest.mark.parametrize(
    "values",
    [[0.0], [95.0, 95.0], [0.1, 0.12], [-3.2, 14.9], [99.99, 100.0], [1e-9, 2e-9], [12000, 90000]],
)
def test_an_axis_holds_its_values_and_has_ticks(values):
    scale = axis(values)
    assert scale.low <= min(values) + 1e-9
    assert max(values) <= scale.high + 1e-9
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks) <= 12


def test_an_axis_keeps_to_what_a_value_can_be():
    scale = axis([93.0, 99.9], floor=0, ceiling=100)
    assert scale.high == 100
    assert axis([0.01, 2.0], floor=0).low == 0


def test_the_best_so_far_never_falls():
    assert staircase([3, 1, 4, 2]) == ([1, 2, 3, 3, 4], [3, 3, 3, 4, 4])
