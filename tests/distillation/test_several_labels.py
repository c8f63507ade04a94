"""Several labels a row in the room of methods and arms."""

import pytest
import torch
import torch.nn.functional as F

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.distillation.arms import objective
from stillhouse.distillation.controls import SmoothedLabels, swapped_labels
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.combine import Combine
from stillhouse.distillation.methods.kd import KD
from stillhouse.distillation.methods.multi_label import MultiLabel, multi_label_loss
from stillhouse.distillation.objective import refuse_task
from stillhouse.distillation.selectors.all import All
from stillhouse.distillation.selectors.confidence import Confidence
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import MULTI_LABEL
from stillhouse.models.classifier import model_of
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Batch, Outputs

SCHEMA = Schema("table", (3,), (), tuple(map(Feature, "xyz")), "multi_label", labels=("a", "b"))
N = 40


def rows() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(N, 3, generator=generator)
    targets = (inputs[:, :2] > 0).float()
    targets[::3, 1] = torch.nan
    targets[::5] = torch.nan
    return Dataset(inputs, targets, SCHEMA, torch.arange(N))


def batch(data: Dataset) -> Batch:
    return Batch(data.inputs, data.targets, data.targets.isnan().all(1).logical_not(), data.rows)


ANSWERS = torch.randn(N, 2, generator=torch.Generator().manual_seed(1))


def told(method: Method) -> torch.Tensor:
    method.attend(MULTI_LABEL)
    student = torch.randn(N, 2, generator=torch.Generator().manual_seed(2))
    return method(Outputs(student), Outputs(ANSWERS), batch(rows()))


def test_the_method_compares_log_odds_as_they_are():
    student = torch.randn(N, 2, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        told(MultiLabel(temperature=2.0)), multi_label_loss(student, ANSWERS, 2.0)
    )
    both = Combine(parts=[{"name": "multi_label", "weight": 0.5}, {"name": "ce", "weight": 0.5}])
    wanted = (multi_label_loss(student, ANSWERS) + MULTI_LABEL.follow(student, ANSWERS)) / 2
    torch.testing.assert_close(told(both), wanted)


def test_methods_and_selectors_of_one_class_are_refused_by_name():
    refuse_task(MultiLabel(), All(), MULTI_LABEL)
    with pytest.raises(
        UsageError, match=r"'kd' is for classification.*several labels.*multi_label"
    ):
        refuse_task(KD(), All(), MULTI_LABEL)
    with pytest.raises(UsageError, match="'confidence' is for classification"):
        refuse_task(MultiLabel(), Confidence(), MULTI_LABEL)


def loss(arm: str, **section: object) -> float:
    data, torch_state = rows(), torch.random.get_rng_state()
    torch.manual_seed(0)
    asked = {
        "student": {"name": "mlp"},
        "method": {"name": "multi_label"},
        "supervised": 0.25,
        **section,
    }
    model = model_of(SCHEMA, Normalize.empty(SCHEMA), torch.nn.Linear(3, 2)).eval()
    made = objective(arm, asked, ANSWERS, task=MULTI_LABEL)
    found = float(made(model, batch(data)).detach())
    torch.random.set_rng_state(torch_state)
    return found


def by_hand(answers: torch.Tensor, smoothing: float = 0.0) -> tuple[float, float]:
    """The mean over labelled rows of cross entropy, and over all rows of the method."""
    torch.manual_seed(0)
    net, data = torch.nn.Linear(3, 2), rows()
    with torch.no_grad():
        odds = net(data.inputs)
    there = ~data.targets.isnan()
    smoothed = data.targets.nan_to_num(0.0) * (1 - smoothing) + smoothing / 2
    each = F.binary_cross_entropy_with_logits(odds, smoothed, reduction="none") * there
    labelled = each.sum() / there.any(1).sum()
    return float(labelled), float(multi_label_loss(odds, answers).mean())


def test_each_arm_has_the_loss_that_it_is_named_for():
    labels, method = by_hand(ANSWERS)
    assert loss("none") == pytest.approx(labels, rel=1e-5)
    assert loss("student") == pytest.approx(0.25 * labels + 0.75 * method, rel=1e-5)
    assert loss("smooth", smoothing=0.2) == pytest.approx(by_hand(ANSWERS, 0.2)[0], rel=1e-5)
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    hard = float(MULTI_LABEL.follow(net(rows().inputs), ANSWERS).mean().detach())
    assert loss("hard") == pytest.approx(0.25 * labels + 0.75 * hard, rel=1e-5)
    assert loss("shuffled") != pytest.approx(loss("student"), rel=1e-3)


def test_labels_are_shuffled_each_by_itself_and_keep_every_decision():
    order = swapped_labels(ANSWERS, torch.Generator().manual_seed(0))
    shuffled = ANSWERS.gather(0, order)
    assert torch.equal(shuffled > 0, ANSWERS > 0)
    assert (shuffled != ANSWERS).all()
    assert torch.equal(shuffled.sort(0).values, ANSWERS.sort(0).values)
    alone = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [2.0, 1.0]])
    kept = alone.gather(0, swapped_labels(alone, torch.Generator().manual_seed(0)))
    assert kept[1, 0] == -1.0  # nobody else to swap with


def test_views_of_a_row_are_shuffled_alike():
    views = torch.cat([ANSWERS, ANSWERS + 100, ANSWERS[:7]])
    torch.manual_seed(0)
    made = objective(
        "shuffled",
        {"student": {"name": "mlp"}, "method": {"name": "multi_label"}},
        views,
        task=MULTI_LABEL,
        rows=N,
    )
    held = made.answers
    torch.testing.assert_close(held[N : 2 * N], held[:N] + 100)
    assert torch.equal(held[2 * N :].sort(0).values, ANSWERS[:7].sort(0).values)


def test_smoothing_is_refused_where_nothing_is_right_or_wrong():
    from stillhouse.errors import SettingsError
    from stillhouse.evaluation.tasks import Regression

    SmoothedLabels(0.1, MULTI_LABEL)
    with pytest.raises(SettingsError, match="spreads a label over classes"):
        SmoothedLabels(0.1, Regression())
