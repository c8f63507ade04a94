"""Selectors that look at all rows before the first step."""

import pytest
import torch
from distillation.classrooms import ANSWERS, DATA, TEACHER, rows
from training.blobs import net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.kd import KD
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selector import Selector
from stillhouse.distillation.selectors.by_class import ByClass
from stillhouse.distillation.selectors.class_trust import ClassTrust, trust
from stillhouse.distillation.selectors.curriculum import Curriculum, competence
from stillhouse.errors import SettingsError, UsageError
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.training.fit import FitSettings, fit


def shown(selector: Selector, answers=ANSWERS, targets=DATA.targets, steps: int = 10) -> Selector:
    data = Dataset(DATA.inputs, targets, DATA.schema, DATA.rows)
    selector.enter(Classroom(net(DATA), None, data, answers, None, steps))
    return selector


def weights(selector: Selector, batch: Batch, answers=ANSWERS) -> torch.Tensor:
    told = Outputs(answers[batch.rows])
    return selector.weights(told, told, batch)


@pytest.mark.parametrize(("done", "share"), [(0.0, 0.6), (0.5, 0.8246211), (1.0, 1.0)])
def test_golden_competence_by_hand(done: float, share: float):
    """√(t (1 − 0.36) + 0.36)."""
    assert competence(done, 0.6) == pytest.approx(share)


def test_a_curriculum_begins_with_what_the_teacher_is_sure_of_and_ends_with_all():
    answers = torch.zeros(24, 3)
    answers[:, 0] = torch.arange(24, 0, -1).float() / 4  # the first rows are the surest
    selector = shown(Curriculum(first=0.25, until=0.5), answers)
    early = weights(selector, rows(24, step=0), answers)
    counted = int(early.sum())
    assert 6 <= counted < 24
    assert early.tolist() == [1.0] * counted + [0.0] * (24 - counted)
    later = weights(selector, rows(24, step=2), answers)
    assert counted < later.sum() < 24
    assert weights(selector, rows(24, step=5), answers).sum() == 24


def test_a_training_of_unknown_length_is_past_its_curriculum():
    assert weights(shown(Curriculum(), steps=0), rows(24)).sum() == 24


def test_golden_trust_by_hand():
    """Said a three times, right twice; b once, wrong; c never; an unlabelled row tells nothing."""
    answers = torch.eye(3)[[0, 0, 0, 1, 2]]
    targets = torch.tensor([0, 0, 1, 2, -1])
    wanted = torch.tensor([3 / 5, 1 / 3, 1 / 2], dtype=torch.float64)
    torch.testing.assert_close(trust(answers, targets), wanted)


def test_rows_weigh_as_much_as_the_teacher_is_right_in_the_class_it_names():
    answers = 4 * torch.nn.functional.one_hot(DATA.targets, 3).float()
    answers[DATA.targets == 2] = torch.tensor([0.0, 4.0, 0.0])  # it calls every c a b
    found = weights(shown(ClassTrust(), answers), rows(6), answers)
    torch.testing.assert_close(found, torch.tensor([0.9, 0.5, 0.5] * 2))
    strict = weights(shown(ClassTrust(at_least=0.6), answers), rows(6), answers)
    torch.testing.assert_close(strict, torch.tensor([0.9, 0.0, 0.0] * 2))


def test_a_class_may_be_given_a_weight_by_its_name():
    answers = 4 * torch.nn.functional.one_hot(DATA.targets, 3).float()
    found = weights(shown(ByClass(shares={"b": 0.25, "c": 0.0}), answers), rows(6), answers)
    assert found.tolist() == [1.0, 0.25, 0.0] * 2
    blind = weights(
        shown(ByClass(shares={"b": 0.25, "c": 0.0}), answers), rows(6, labelled=False), answers
    )
    assert blind.tolist() == found.tolist()
    with pytest.raises(SettingsError, match="there is no class 'd'"):
        shown(ByClass(shares={"d": 0.5}))


@pytest.mark.parametrize("selector", [Curriculum(), ClassTrust(), ByClass(shares={"a": 0.5})])
def test_one_that_was_shown_nothing_is_refused_by_name(selector: Selector):
    with pytest.raises(UsageError, match=r"was (shown|told) none"):
        weights(selector, rows(4))
    weights(shown(selector), rows(4))


@pytest.mark.parametrize("selector", [Curriculum(), ClassTrust(), ByClass(shares={"a": 0.5})])
def test_a_training_shows_it_all_rows_and_writes_down_what_was_passed_on(selector: Selector):
    model = net(DATA)
    pair = Pair(model, TEACHER, DATA, 18)
    objective = Distillation(
        method=KD(), selector=selector, supervised=0.5, answers=ANSWERS, pair=pair
    )
    fit(model, objective, DATA, DATA, FitSettings(epochs=6, batch=8))
    given, asked = objective.transfer()
    assert asked.tolist() == [6] * len(DATA)
    assert 0 < given.sum() < asked.sum()
