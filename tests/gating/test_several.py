import math

import pytest
import torch

from stillhouse.errors import SettingsError
from stillhouse.evaluation import labels
from stillhouse.evaluation.tasks import MULTI_LABEL
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge
from stillhouse.steps.gate import beside, for_task

N, NAMES = 500, ("sport", "music", "war")


def outcomes(student: float = 0.6, teacher: float = 0.6, **more: object) -> Outcomes:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(N, 3, generator=generator) < torch.tensor([0.5, 0.4, 0.1])).float()
    told = {
        who: 2 * truth - 1 + noise * torch.randn(N, 3, generator=generator)
        for who, noise in (("student", student), ("teacher", teacher), ("champion", 0.5))
    }
    truth[::50] = torch.nan
    truth[1::9, 1] = torch.nan
    return Outcomes(truth, told, task=MULTI_LABEL, classes=NAMES, **more)


def judged(*specs: dict[str, object], found: Outcomes | None = None):
    rules = parse(specs)
    for_task(rules, MULTI_LABEL)
    evidence = collect(found or outcomes(), {rule.metric for rule in rules}, champion="version 1")
    return judge(rules, evidence).findings


def test_the_exact_match_is_a_share_with_exact_tests():
    good, bad, paired = judged(
        {"metric": "test/exact_match", "at_least": 0.7},
        {"metric": "test/exact_match", "at_least": 0.95},
        {"metric": "test/exact_match", "against": "teacher"},
    )
    assert (good.verdict, bad.verdict, paired.verdict) == ("pass", "fail", "pass")
    assert good.rows_used == N - 10
    assert paired.discordant is not None
    lost, won = paired.discordant
    assert paired.observed == pytest.approx((won - lost) / (N - 10))


def test_a_worse_student_fails_against_its_teacher():
    (found,) = judged(
        {"metric": "test/exact_match", "against": "teacher", "margin": 0.05},
        found=outcomes(student=1.5, teacher=0.4),
    )
    assert found.verdict == "fail"


def test_wrong_labels_are_compared_row_by_row_and_less_is_better():
    bounded, paired = judged(
        {"metric": "test/hamming_loss", "at_most": 0.2},
        {"metric": "test/hamming_loss", "against": "teacher", "margin": 0.03},
        found=outcomes(student=0.5, teacher=1.5),
    )
    assert (bounded.verdict, paired.verdict) == ("pass", "pass")
    assert paired.observed < 0
    assert paired.direction == "<="


@pytest.mark.parametrize(
    "metric", ["micro_f1", "macro_f1", "map", "macro_auc", "worst_label", "worst_found"]
)
def test_every_other_number_can_be_bounded_from_both_sides(metric):
    easy, hard = judged(
        {"metric": f"test/{metric}", "at_least": 0.3}, {"metric": f"test/{metric}", "at_least": 1.0}
    )
    assert easy.verdict == "pass"
    assert hard.verdict != "pass"
    if metric.startswith("worst"):
        assert easy.about.startswith("label ")


def test_the_label_that_is_found_least_is_named():
    found = outcomes()
    found.logits["student"][:, 2] = -1.0  # never gives the rare one
    (seen,) = judged({"metric": "test/worst_found", "at_least": 0.5}, found=found)
    assert (seen.verdict, seen.about, seen.observed) == ("fail", "label war", 0.0)
    (right,) = judged({"metric": "test/worst_label", "at_least": 0.5}, found=found)
    assert right.verdict == "pass"


def test_flips_are_rows_that_lose_their_exact_match_and_labels_that_turn():
    rows, label = judged(
        {"metric": "flips/negative", "at_most": 0.3},
        {"metric": "flips/worst_label", "at_most": 0.3},
    )
    found = outcomes()
    known = found.known
    before, after = (found.right(found.logits[who]) for who in ("champion", "student"))
    assert rows.observed == pytest.approx(float((before & ~after).double().mean()))
    assert int(known.sum()) == rows.rows_used
    assert label.about.startswith("label ")
    assert (rows.verdict, label.verdict) == ("pass", "pass")


def test_what_attacks_and_corruptions_left_right_is_an_exact_match_too():
    kept = torch.ones(N, dtype=torch.uint8)
    kept[: N // 2] = 0
    robust = {"clean": torch.ones(N), "attack/pgd_linf_0.1": kept}
    robust |= {f"corruption/noise/{at}": kept for at in (1, 2)}
    found = outcomes(robust=robust, norms={"pgd_linf_0.1": "linf"})
    for seen in judged(
        {"metric": "robust/linf/exact_match", "at_least": 0.4},
        {"metric": "robust/pgd_linf_0.1/exact_match", "at_least": 0.4},
        {"metric": "corruption/noise/exact_match", "at_least": 0.4},
        {"metric": "corruption/mean_exact_match", "at_least": 0.4},
        found=found,
    ):
        assert seen.verdict == "pass"
        assert seen.observed == pytest.approx(0.5, abs=0.02)


def test_the_worst_slice_is_that_of_the_exact_match_and_flips_are_counted_in_each():
    even = torch.arange(N) % 2 == 0
    found = outcomes(slices={"even": even, "none": torch.zeros(N, dtype=torch.bool)})
    found.logits["student"][even] *= -1
    worst, flips = judged(
        {"metric": "slices/worst", "at_least": 0.5},
        {"metric": "flips/worst_slice", "at_most": 0.5},
        found=found,
    )
    inside = even[found.known]
    right = found.right(found.logits["student"])
    assert (worst.verdict, worst.about, worst.rows_used) == ("fail", "even", int(inside.sum()))
    assert worst.observed == pytest.approx(float(right[inside].double().mean()))
    lost = found.right(found.logits["champion"]) & ~right
    assert (flips.verdict, flips.about) == ("fail", "even")
    assert flips.observed == pytest.approx(float(lost[inside].double().mean()))


@pytest.mark.parametrize(("metric", "value"), [("ece", 0.2), ("worst_ece", 0.4)])
def test_calibration_can_be_bounded_and_a_student_that_is_too_sure_fails(metric, value):
    generator = torch.Generator().manual_seed(0)
    odds = torch.full((2000, 2), math.log(9.0))
    truth = (torch.rand(2000, 2, generator=generator) < torch.tensor([0.5, 0.9])).float()
    truth[::10, 1] = torch.nan
    found = Outcomes(truth, {"student": odds}, task=MULTI_LABEL, classes=("a", "b"))
    strict, easy = judged(
        {"metric": f"test/{metric}", "at_most": value / 2},
        {"metric": f"test/{metric}", "at_most": 2 * value},
        found=found,
    )
    assert (strict.verdict, easy.verdict) == ("fail", "pass")
    assert strict.observed == pytest.approx(value, abs=0.03)


def test_where_no_label_is_known_often_enough_a_rule_about_the_worst_stays_undecided():
    found = Outcomes(
        torch.ones(39, 1), {"student": torch.ones(39, 1)}, task=MULTI_LABEL, classes=("a",)
    )
    (seen,) = judged({"metric": "test/worst_ece", "at_most": 0.5}, found=found)
    assert seen.verdict == "undecided"
    assert "known in 40 test rows" in seen.sentence


POINTS = {"student": (0.9, 0.4, 0.2), "teacher": (0.5, 0.5, 0.5)}
CALLED = ("sensitivity", "specificity", "precision")


def test_the_worst_label_is_judged_at_thresholds_of_the_labels_own():
    found = outcomes(label_points=POINTS)
    exact, paired, *worst = judged(
        {"metric": "test/called_exact_match", "at_least": 0.1},
        {"metric": "test/called_exact_match", "against": "teacher", "margin": 0.5},
        *({"metric": f"test/worst_{name}", "at_least": 0.1} for name in CALLED),
        found=found,
    )
    truth, odds = found.targets[found.known], found.logits["student"][found.known]
    given = odds.double().sigmoid() >= torch.tensor(POINTS["student"], dtype=torch.float64)
    yes, no = truth == 1, truth == 0
    right = ~((given & no) | (~given & yes)).any(dim=1)
    assert exact.observed == pytest.approx(float(right.double().mean()))
    teacher = found.right(found.logits["teacher"])
    difference = float(right.double().mean() - teacher.double().mean())
    assert paired.observed == pytest.approx(difference)
    shares = (
        (given & yes).sum(0) / yes.sum(0),
        (~given & no).sum(0) / no.sum(0),
        (given & yes).sum(0) / (given & (yes | no)).sum(0),
    )
    for seen, share in zip(worst, shares, strict=True):
        assert seen.observed == pytest.approx(float(share.min()))
        assert seen.about == f"label {NAMES[int(share.argmin())]}"


def test_a_label_that_its_threshold_hides_fails_and_at_one_half_passes():
    rule = {"metric": "test/worst_sensitivity", "at_least": 0.5}
    (hidden,) = judged(rule, found=outcomes(label_points={"student": (0.5, 0.999, 0.5)}))
    assert (hidden.verdict, hidden.about) == ("fail", "label music")
    (seen,) = judged(rule, found=outcomes(label_points={"student": (0.5, 0.5, 0.5)}))
    assert seen.verdict == "pass"


def test_without_thresholds_of_their_own_rules_about_them_stay_undecided():
    for seen in judged(*({"metric": f"test/worst_{name}", "at_least": 0.1} for name in CALLED)):
        assert seen.verdict == "undecided"
        assert "distill.threshold chooses others" in seen.sentence
    never = outcomes(label_points={"student": (1.0, 1.0, 1.0)})
    (seen,) = judged({"metric": "test/worst_precision", "at_least": 0.1}, found=never)
    assert seen.verdict == "undecided"
    assert "no label has such rows" in seen.sentence


def test_without_slices_a_rule_about_them_stays_undecided():
    (seen,) = judged({"metric": "slices/worst", "at_least": 0.5})
    assert seen.verdict == "undecided"
    assert "too few rows to find slices" in seen.sentence


def test_the_belief_in_a_row_is_the_product_over_the_labels_that_are_known():
    odds = torch.tensor([[0.0, -math.log(3.0), 9.0], [math.log(9.0), 0.0, 0.0]])
    truth = torch.tensor([[1.0, 1.0, math.nan], [0.0, math.nan, math.nan]])
    told = labels.belief_rows(odds, truth)
    torch.testing.assert_close(told, torch.tensor([0.5 * 0.75, 0.9], dtype=torch.float64))


def test_rules_of_other_tasks_are_refused_and_of_the_alarms_the_one_about_slices_is_added():
    rule = {"metric": "test/exact_match", "at_least": 0.5}
    for_task(parse([rule]), MULTI_LABEL)
    with pytest.raises(SettingsError, match="task of several labels a row, which has no"):
        for_task(parse([{"metric": "test/accuracy", "at_least": 0.5}]), MULTI_LABEL)
    added = beside([rule], MULTI_LABEL)
    assert [spec.get("metric", spec.get("name")) for spec in added] == [
        "test/exact_match",
        "drift/features",
        "collapse",
    ]
