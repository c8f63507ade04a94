"""Every number of the receipt is made a second time here, by plain counting over the stored
files.
"""

import hashlib
import math

import pytest
import torch
from scipy.stats import beta
from torch.testing import assert_close

from stillhouse.evaluation.gain import two_way
from stillhouse.receipt.schema import check

STATES = [
    "promoted",
    "held",
    "rejected",
    "first",
    "bare",
    "table",
    "colour",
    "private",
    "flawless",
    "useless",
    "many",
    "unknown",
    "hostile",
]


def exact(right):
    n, k = len(right), int(right.sum())
    low = 0.0 if k == 0 else beta.ppf(0.025, k, n - k + 1)
    high = 1.0 if k == n else beta.ppf(0.975, k + 1, n - k)
    return [float(low), k / n, float(high)]


@pytest.fixture
def stored(made):
    def read(state):
        files = made(state).job.files
        test = files.read_tensors("prepare/test.safetensors")
        known = test["targets"] >= 0
        return files, test["targets"][known], known

    return read


@pytest.mark.parametrize("state", STATES)
def test_accuracies_are_those_of_the_stored_answers(made, stored, state):
    receipt, (files, truth, known) = made(state).receipt, stored(state)
    student = (
        files.read_tensors("export/outcomes.safetensors")["fp32_logits"][known].argmax(1) == truth
    )
    teacher = (
        files.read_tensors("teacher/outcomes.safetensors")["test_logits"][known].argmax(1) == truth
    )
    assert_close(receipt["student"]["test_accuracy"], exact(student))
    assert_close(receipt["teacher"]["test_accuracy"], exact(teacher))
    arms = files.read_tensors("distill/outcomes.safetensors")
    for arm in receipt["arms"]:
        seeds = [
            float(
                (arms[f"{arm['name']}/{s}/test_logits"][known].argmax(1) == truth).double().mean()
            )
            for s in range(2)
        ]
        assert_close(arm["seeds"], seeds)
        assert_close(arm["test_accuracy"][1], sum(seeds) / len(seeds))


@pytest.mark.parametrize("state", STATES)
def test_a_gain_is_that_of_the_paired_seeds(made, stored, state):
    receipt, (files, truth, known) = made(state).receipt, stored(state)
    arms = files.read_tensors("distill/outcomes.safetensors")

    def right(arm):
        return torch.stack(
            [arms[f"{arm}/{s}/test_logits"][known].argmax(1) == truth for s in range(2)]
        )

    assert [g["over"] for g in receipt["teacher_gain"]] == (
        [] if state == "bare" else ["none", "hard"]
    )
    for gain in receipt["teacher_gain"]:
        again = two_way(right("student"), right(gain["over"]))
        assert_close([gain["estimate"], *gain["interval"]], [again.estimate, again.low, again.high])
        assert gain["seeds"] == 2


@pytest.mark.parametrize("state", STATES)
def test_flips_and_mistakes_are_counted_row_by_row(made, stored, state):
    receipt, (files, truth, known) = made(state).receipt, stored(state)
    said = (
        files.read_tensors("export/outcomes.safetensors")["fp32_logits"][known].argmax(1).tolist()
    )
    teacher = (
        files.read_tensors("teacher/outcomes.safetensors")["test_logits"][known].argmax(1).tolist()
    )
    champion = files.read_tensors("gate/outcomes.safetensors").get("champion_logits")
    copied = sum(t != y and s == t for s, t, y in zip(said, teacher, truth.tolist(), strict=True))
    corrected = sum(
        t != y and s == y for s, t, y in zip(said, teacher, truth.tolist(), strict=True)
    )
    assert receipt["mistakes"] == {"copied": copied, "corrected": corrected}
    if champion is None:
        assert receipt["flips"] == {"against": None, "negative": None, "positive": None}
        return
    before = champion[known].argmax(1).tolist()
    negative = sum(b == y and s != y for s, b, y in zip(said, before, truth.tolist(), strict=True))
    positive = sum(b != y and s == y for s, b, y in zip(said, before, truth.tolist(), strict=True))
    assert receipt["flips"] == {"against": "version 6", "negative": negative, "positive": positive}
    drawn = receipt["evidence"]["flips"]
    assert drawn["table"][0][1] == negative
    assert sum(sum(row) for row in drawn["table"]) == len(truth)
    discordant = negative + positive
    tail = sum(math.comb(discordant, k) for k in range(min(negative, positive) + 1)) / 2**discordant
    assert_close(drawn["p"], min(1.0, 2 * tail))


@pytest.mark.parametrize("state", STATES)
def test_attacks_and_corruptions_are_the_rows_that_stay_right(made, stored, state):
    receipt, (files, _, known) = made(state).receipt, stored(state)
    outcomes = files.read_tensors("robustness/outcomes.safetensors")
    attacks = {
        name.removeprefix("attack/"): exact(kept[known])
        for name, kept in outcomes.items()
        if name.startswith("attack/")
    }
    assert (
        receipt["robustness"] == pytest.approx(attacks)
        if not attacks
        else receipt["robustness"].keys() == attacks.keys()
    )
    for label, interval in attacks.items():
        assert_close(receipt["robustness"][label], interval)
    for name, by in receipt["corruption"].items():
        for severity, interval in by.items():
            assert_close(interval, exact(outcomes[f"corruption/{name}/{severity}"][known]))


@pytest.mark.parametrize("state", STATES)
def test_what_the_page_draws_adds_up(made, stored, state):
    evidence, (files, truth, known) = made(state).receipt["evidence"], stored(state)
    said = files.read_tensors("export/outcomes.safetensors")["fp32_logits"][known]
    for code, one in enumerate(evidence["per_class"]):
        own = truth == code
        assert one["rows"] == int(own.sum())
        assert_close(one["student"], exact(said.argmax(1)[own] == code))
    if evidence["confusion"] is not None:
        cells = torch.tensor(evidence["confusion"])
        assert int(cells.sum()) == len(truth)
        assert int(cells.diag().sum()) == int((said.argmax(1) == truth).sum())
    assert (evidence["confusion"] is None) == (len(evidence["classes"]) > 12)
    bins = evidence["reliability"]["bins"]
    assert sum(b["rows"] for b in bins) == len(truth)
    gaps = sum(b["rows"] * abs(b["confidence"] - b["accuracy"][1]) for b in bins) / len(truth)
    assert_close(evidence["reliability"]["ece"][1], gaps)


@pytest.mark.parametrize("state", STATES)
def test_the_rest_is_told_as_it_was_stored(made, state):
    job, receipt = made(state).job, made(state).receipt
    edge, latency, verdict = (
        job.files.read_json(f)
        for f in ("export/edge.json", "export/latency.timing.json", "gate/verdict.json")
    )
    for key in ("onnx_bytes", "int8_bytes", "parity_max_error", "int8_agreement"):
        assert receipt["edge"][key] == edge[key]
    assert receipt["edge"]["latency_ms_p95"] == latency["fp32"]["p95_ms"]
    assert (
        receipt["student"]["bytes"] == (job.root / "artifacts/export/student.onnx").stat().st_size
    )
    assert receipt["verdict"] == verdict["verdict"]
    assert receipt["rules"] == verdict["rules"]
    assert receipt["student"]["fingerprint"] == verdict["student"]
    assert receipt["settings"] == job.params
    assert receipt["data"]["rows"] == job.files.read_json("prepare/data.json")["rows"]
    assert (
        receipt["lineage"]["trial"]
        == job.files.read_json("tune/trials.json")["studies"]["student"]["best"]
    )
    assert_close(receipt["cost"]["seconds"], sum(receipt["cost"]["by_step"].values()))
    assert_close(
        receipt["cost"]["usd"],
        receipt["cost"]["seconds"] / 3600 * job.params["report"]["usd_per_hour"],
    )


@pytest.mark.parametrize("state", STATES)
def test_every_hash_is_that_of_a_file_under_artifacts(made, state):
    receipt, artifacts = made(state).receipt, made(state).job.root / "artifacts"
    for name, digest in receipt["files"].items():
        assert hashlib.sha256((artifacts / name).read_bytes()).hexdigest() == digest
    assert {"export/student.onnx", "distill/student.safetensors", "gate/verdict.json"} <= set(
        receipt["files"]
    )
    assert not [name for name in receipt["files"] if name.startswith("report/") or "timing" in name]


@pytest.mark.parametrize("state", STATES)
def test_a_receipt_of_any_state_fits_its_schema(made, state):
    check(made(state).receipt)


def test_a_useless_teacher_is_not_said_to_help(made):
    for gain in made("useless").receipt["teacher_gain"]:
        assert gain["sentence"].startswith("No evidence that")
    assert made("promoted").receipt["teacher_gain"][0]["sentence"].startswith("The teacher gave")


def test_curves_are_drawn_over_epochs_not_over_points(made):
    curves = made("promoted").receipt["evidence"]["curves"]
    assert {arm: curve["epochs"][-1] for arm, curve in curves.items()} == {
        "student": 400,
        "none": 400,
        "hard": 400,
    }
    assert curves["student"]["epochs"][0] == 3  # the first point lies after 6 steps, two an epoch
