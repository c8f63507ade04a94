import json

import pytest
import torch
from torch import nn

from stillhouse.errors import DataError
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import SCALARS, logits_of, points, report

LOGITS = torch.randn(400, 3, generator=torch.Generator().manual_seed(5)) * 2
TARGETS = torch.where(
    torch.rand(400, generator=torch.Generator().manual_seed(6)) < 0.7, LOGITS.argmax(dim=1), 0
)
CLASSES = ("<b>", "cat", "dog")


def test_a_model_answers_in_evaluation_mode_and_its_mode_is_put_back() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 2))
    inputs = torch.rand(10, 2, 2)
    asked = logits_of(model, inputs, batch=3)
    assert model.training
    model.eval()
    torch.testing.assert_close(asked, model(inputs).detach())
    assert not logits_of(model, inputs).is_inference()
    assert not model.training


def test_a_layer_that_its_user_froze_stays_frozen() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[0].eval()
    logits_of(model, torch.rand(4, 2))
    assert [module.training for module in model.modules()] == [True, False, True]


def test_a_model_that_fails_is_left_in_its_mode() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(RuntimeError):
        logits_of(model, torch.rand(2, 5))
    assert model.training


def test_the_report_holds_the_metrics_inside_their_intervals_and_is_json() -> None:
    found = report(LOGITS, TARGETS, CLASSES, seed=1)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name in SCALARS:
        low, estimate, high = found[name]
        assert estimate == pytest.approx(getattr(metrics, name)(LOGITS, TARGETS))
        assert 0 <= low < estimate < high
    assert points("val", found)["val/nll"] == found["nll"][1]
    assert found["per_class"][0]["class"] == "<b>"
    assert sum(map(sum, found["confusion"])) == found["rows"] == 400


def test_the_same_seed_gives_the_same_report() -> None:
    assert report(LOGITS, TARGETS, CLASSES, seed=2) == report(LOGITS, TARGETS, CLASSES, seed=2)


def test_rows_without_a_target_do_not_count_and_none_at_all_are_refused() -> None:
    masked = TARGETS.clone()
    masked[200:] = -1
    assert report(LOGITS, masked, CLASSES) == report(LOGITS[:200], TARGETS[:200], CLASSES)
    with pytest.raises(DataError, match="no row has a target"):
        report(LOGITS, torch.full_like(TARGETS, -1), CLASSES)


def test_the_ece_interval_speaks_of_the_population_though_the_plug_in_estimate_is_too_large() -> (
    None
):
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(20_000, 3, generator=generator)
    targets = torch.multinomial((1.5 * logits).softmax(dim=1), 1, generator=generator).flatten()
    truth = metrics.ece(logits, targets)
    parts = [
        report(logits[at : at + 500], targets[at : at + 500], CLASSES)["ece"]
        for at in range(0, 10_000, 500)
    ]
    assert sum(estimate for _, estimate, _ in parts) / len(parts) > truth + 0.005
    assert sum(low <= truth <= high for low, _, high in parts) >= 17
    assert all(low <= estimate <= high for low, estimate, high in parts)


def test_the_intervals_of_balanced_accuracy_and_brier_cover_the_truth_about_as_often_as_they_say() -> (
    None
):
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(20_000, 3, generator=generator)
    targets = torch.multinomial((1.5 * logits).softmax(dim=1), 1, generator=generator).flatten()
    truth = {
        "balanced_accuracy": metrics.balanced_accuracy(logits, targets),
        "brier": metrics.brier(logits, targets),
    }
    held = {name: 0 for name in truth}
    for k in range(40):
        part = slice(300 * k, 300 * (k + 1))
        found = report(logits[part], targets[part], CLASSES, seed=k)
        for name, value in truth.items():
            held[name] += found[name][0] <= value <= found[name][2]
    assert min(held.values()) >= 35
