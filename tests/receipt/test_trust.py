import pytest

from stillhouse.evaluation import metrics, trust
from stillhouse.evaluation.intervals import proportion
from stillhouse.receipt.answers import answers
from stillhouse.receipt.page import page
from stillhouse.receipt.words import headline


def stored(made, state, name):
    files = made(state).job.files
    return files.read_tensors(name)


@pytest.fixture
def rows(made):
    """Logits of the student, and the truth, of the project that is promoted."""
    logits = stored(made, "promoted", "export/outcomes.safetensors")["fp32_logits"].double()
    return logits, stored(made, "promoted", "prepare/test.safetensors")["targets"]


def test_every_measure_is_that_of_the_stored_answers(made, rows):
    logits, truth = rows
    told = {one["name"]: one for one in made("promoted").receipt["evidence"]["trust"]["measures"]}
    for name, measure in (
        ("nll", metrics.nll),
        ("brier", metrics.brier),
        ("ece", metrics.ece),
        ("adaptive_ece", trust.adaptive_ece),
        ("aurc", trust.aurc),
    ):
        low, middle, high = told[name]["student"]
        assert middle == pytest.approx(measure(logits, truth))
        assert low <= middle <= high
    assert told["ece"]["teacher"] < told["ece"]["none"]


def test_slices_and_rows_unlike_all_others_are_those_that_the_gate_kept(made, rows):
    logits, truth = rows
    receipt = made("promoted").receipt
    kept = stored(made, "promoted", "gate/outcomes.safetensors")
    told = receipt["evidence"]["trust"]["slices"]
    right = logits.argmax(1) == truth
    counts = {
        (int(r.sum()), int((r.bool() & right).sum()))
        for n, r in kept.items()
        if n.startswith("slice/")
    }
    assert {(one["rows"], one["right"]) for one in told} == counts
    assert told[0]["share"] == pytest.approx(
        proportion(told[0]["right"], told[0]["rows"], 1 - 0.05 / 2)
    )
    noise, own = trust.confidence(kept["unlike/noise"]), trust.confidence(logits)
    area = float(((own[:, None] > noise).double() + 0.5 * (own[:, None] == noise).double()).mean())
    assert receipt["evidence"]["trust"]["unlike"]["noise"][1] == pytest.approx(area)


def test_the_surest_mistakes_are_shown_only_where_rows_may_be(made):
    shown = made("promoted").receipt["evidence"]["trust"]["surest"]
    assert shown
    assert all(
        row["image"].startswith("data:image/png") and row["truth"] != row["after"] for row in shown
    )
    assert all(
        row["image"] is None for row in made("private").receipt["evidence"]["trust"]["surest"]
    )


def test_an_alarm_is_told_in_the_headline_and_names_its_slice(made):
    receipt = made("alarmed").receipt
    told = headline(receipt)
    assert (receipt["verdict"], told.word) == ("hold", "Held")
    assert "an alarm went off" in told.lead
    assert "feature 2 > 0.9" in told.lead
    assert "went off" in answers(receipt)["rules"]
    assert "</svg>alarm</td>" in page(receipt)
    assert "</svg>quiet</td>" not in page(receipt)


def test_what_the_gate_did_to_itself_stands_under_its_rules(made):
    text = made("promoted").page
    assert "The gate, tried on itself" in text
    audited = [rule["audit"] for rule in made("promoted").receipt["rules"] if rule["audit"]]
    assert {one["kind"] for one in audited} == {"equal", "bound"}
    assert all(one["found"] > 0.9 for one in audited)


def test_a_receipt_from_before_is_still_a_page(made):
    receipt = {**made("promoted").receipt}
    new = ("trust", "life", "frozen")
    receipt["evidence"] = {k: v for k, v in receipt["evidence"].items() if k not in new}
    keys = ("about", "guards", "audit")
    receipt["rules"] = [{k: v for k, v in r.items() if k not in keys} for r in receipt["rules"]]
    robust = receipt["evidence"]["robustness"]
    gone = ("masking", "certified", "probes")
    receipt["evidence"]["robustness"] = {k: v for k, v in robust.items() if k not in gone}
    assert "Not measured: no class is decided for" in page(receipt)
