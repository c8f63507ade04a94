import numpy as np
import pytest
import torch

from stillhouse.evaluation.intervals import lower
from stillhouse.evaluation.tasks import Classification
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse
from stillhouse.gating.two_classes import Point
from stillhouse.gating.verdict import judge

N = 400


def outcomes(edge: float = 2.0) -> Outcomes:
    """A student and a slightly worse teacher; 100 of 400 rows are positive."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.arange(N) % 4 == 0).long()
    score = edge * targets + torch.randn(N, generator=generator)
    worse = score + 0.8 * torch.randn(N, generator=generator)
    logits = {
        who: torch.stack([-s, s], dim=1) / 2 for who, s in (("student", score), ("teacher", worse))
    }
    point = Point("ill", {"student": 0.6, "teacher": 0.6})
    return Outcomes(targets, logits, task=Classification(1), point=point)


def judged(*specs: dict[str, object], found: Outcomes | None = None):
    rules = parse(specs)
    evidence = collect(found or outcomes(), {rule.metric for rule in rules})
    return judge(rules, evidence).findings


def test_sensitivity_speaks_of_the_positive_rows_alone_and_is_exact():
    (finding,) = judged({"metric": "test/sensitivity", "at_least": 0.5})
    assert finding.rows_used == 100
    assert finding.rows_total == N
    found = outcomes()
    score = found.logits["student"].softmax(1)[:, 1]
    hits = int((score[found.targets == 1] >= 0.6).sum())
    assert finding.observed == hits / 100
    assert finding.interval is not None
    assert finding.interval[0] == pytest.approx(lower(hits, 100, 0.05))
    assert finding.verdict == "pass"


def test_specificity_and_precision_have_their_own_rows():
    spared, right = judged(
        {"metric": "test/specificity", "at_least": 0.7},
        {"metric": "test/precision", "at_least": 0.3},
    )
    assert spared.rows_used == 300
    found = outcomes()
    called = found.logits["student"].softmax(1)[:, 1] >= 0.6
    assert right.rows_used == int(called.sum())


def test_a_threshold_rule_about_the_area_passes_and_fails_with_its_interval():
    good, bad, open_ = judged(
        {"metric": "test/auc", "at_least": 0.85},
        {"metric": "test/auc", "at_least": 0.98},
        {"metric": "test/auc", "at_least": 0.925, "gates": False},
    )
    assert good.verdict == "pass"
    assert good.interval is not None
    assert good.interval[0] >= 0.85
    assert bad.verdict == "fail"
    assert open_.verdict == "undecided"
    assert open_.rows_needed is not None
    assert open_.rows_needed > N


def test_a_better_ranking_is_shown_on_the_same_rows():
    same, demanded = judged(
        {"metric": "test/auc", "against": "teacher"},
        {"metric": "test/auc", "against": "teacher", "margin": -0.5},
    )
    assert same.verdict == "pass"
    assert same.observed is not None
    assert same.observed > 0
    assert same.power is not None
    assert same.power >= 0.79
    assert demanded.verdict == "fail"


def test_paired_sensitivity_is_the_exact_paired_test_on_the_positive_rows():
    (finding,) = judged({"metric": "test/sensitivity", "against": "teacher", "margin": 0.2})
    assert finding.rows_used == 100
    assert finding.discordant is not None


def test_perfect_order_still_has_a_doubt():
    found = outcomes(edge=50.0)
    (finding,) = judged({"metric": "test/auc", "at_least": 0.99}, found=found)
    assert finding.observed == 1.0
    assert finding.interval is not None
    assert finding.interval[0] == pytest.approx(0.05 ** (1 / 100))
    assert finding.verdict == "undecided"


def test_without_two_classes_a_rule_about_them_is_undecided_and_says_why():
    found = Outcomes(torch.zeros(3, dtype=torch.int64), {"student": torch.zeros(3, 3)})
    (finding,) = judged({"metric": "test/auc", "at_least": 0.5}, found=found)
    assert finding.verdict == "undecided"
    assert "not two classes" in finding.sentence


def test_the_false_pass_rate_of_a_rule_at_its_bound_is_at_most_its_level():
    """The truth is Φ(1/√2); 200 test sets of 150 rows, 40 positive."""
    from scipy.special import ndtr

    truth, passed = float(ndtr(1 / 2**0.5)), 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        targets = (torch.arange(150) < 40).long()
        score = targets + torch.randn(150, generator=generator)
        logits = torch.stack([-score, score], dim=1) / 2
        found = Outcomes(
            targets,
            {"student": logits},
            task=Classification(1),
            point=Point("ill", {"student": 0.5}),
        )
        (finding,) = judged({"metric": "test/auc", "at_least": truth}, found=found)
        passed += finding.verdict == "pass"
    assert passed <= np.ceil(200 * 0.05) + 8
