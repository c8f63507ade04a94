import pytest
import torch

from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import Regression
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge

N = 600


def outcomes(noise: float = 2.0, other: float = 3.0, quantiles: tuple[float, ...] = ()) -> Outcomes:
    generator = torch.Generator().manual_seed(0)
    truth = 50 + 10 * torch.randn(N, generator=generator)
    told = {
        who: (truth + spread * torch.randn(N, generator=generator))[:, None]
        for who, spread in (("student", noise), ("teacher", other))
    }
    if quantiles:
        reach = torch.tensor([-1.2816 * noise, 0.0, 1.2816 * noise])
        told = {who: each + reach for who, each in told.items()}
    truth[::50] = torch.nan  # some rows have no label
    return Outcomes(truth, told, task=Regression(quantiles, "µg"))


def judged(*specs: dict[str, object], found: Outcomes | None = None):
    rules = parse(specs)
    return judge(rules, collect(found or outcomes(), {rule.metric for rule in rules})).findings


def test_an_error_is_bounded_from_above_in_its_own_unit():
    good, bad, open_ = judged(
        {"metric": "test/rmse", "at_most": 2.4},
        {"metric": "test/mae", "at_most": 1.2},
        {"metric": "test/rmse", "at_most": 2.0, "gates": False},
    )
    assert (good.verdict, bad.verdict, open_.verdict) == ("pass", "fail", "undecided")
    assert good.unit == "µg"
    assert good.rows_used == N - 12
    assert good.observed == pytest.approx(2.0, abs=0.2)
    assert good.sentence.endswith("].")


def test_explained_variance_is_bounded_from_below():
    (found,) = judged({"metric": "test/r2", "at_least": 0.9})
    assert found.verdict == "pass"


def test_a_paired_rule_of_errors_passes_where_the_student_errs_less():
    better, worse = judged(
        {"metric": "test/rmse", "against": "teacher", "margin": 0},
        {"metric": "test/mae", "against": "teacher", "margin": -1.5},
    )
    assert better.verdict == "pass"
    assert better.direction == "<="
    assert better.observed is not None
    assert better.observed < 0
    assert worse.verdict == "fail"


def test_without_a_margin_an_equal_student_passes_four_times_in_five():
    (found,) = judged({"metric": "test/rmse", "against": "teacher"}, found=outcomes(3.0, 3.0))
    assert found.bound is not None
    assert found.bound > 0
    assert found.power == pytest.approx(0.8, abs=0.01)


def test_coverage_of_quantiles_is_a_share_of_rows():
    asked = outcomes(quantiles=(0.1, 0.5, 0.9))
    covered, lost = judged(
        {"metric": "test/coverage", "at_least": 0.7},
        {"metric": "test/pinball", "at_most": 1.0},
        found=asked,
    )
    assert covered.verdict == "pass"
    assert covered.observed == pytest.approx(0.8, abs=0.06)
    assert lost.verdict == "pass"


def test_what_classes_have_is_undecided_here_and_says_why():
    (found,) = judged({"metric": "test/accuracy", "at_least": 0.5})
    assert found.verdict == "undecided"
    assert "this is a regression" in found.sentence


def test_a_margin_of_an_error_may_be_large_and_that_of_a_share_not():
    parse([{"metric": "test/rmse", "against": "teacher", "margin": 60}])
    with pytest.raises(SettingsError, match="is no share"):
        parse([{"metric": "test/accuracy", "against": "teacher", "margin": 6}])


def test_the_false_pass_rate_of_an_error_at_its_bound_is_about_its_level():
    passed = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        told = 2 * torch.randn(250, 1, generator=generator)
        found = Outcomes(torch.zeros(250), {"student": told}, task=Regression())
        (finding,) = judged({"metric": "test/rmse", "at_most": 2.0}, found=found)
        passed += finding.verdict == "pass"
    assert passed <= 17  # 7.5 expected; resampled rows are approximate
