import pytest
import torch
from torch.nn import functional as F
from training.blobs import blobs, net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import objective, rows_of, section_of
from stillhouse.distillation.controls import SmoothedLabels, swapped, without_part
from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.settings import check, read
from stillhouse.errors import SettingsError
from stillhouse.models.outputs import Batch

FULL = blobs(24)
PICKED = Dataset(
    FULL.inputs, torch.where(torch.arange(24) < 9, FULL.targets, -1), FULL.schema, FULL.rows
)
ANSWERS = F.one_hot(FULL.targets, 3).float() * 4 + torch.rand(
    24, 3, generator=torch.Generator().manual_seed(0)
)
PARTS = {
    "name": "combine",
    "parts": [{"name": "kd", "weight": 0.5}, {"name": "dist"}, {"name": "rkd", "weight": 0.1}],
}


def batch(*at: int) -> Batch:
    rows = torch.tensor(at)
    return Batch(PICKED.inputs[rows], PICKED.targets[rows], PICKED.targets[rows] >= 0, rows)


def test_every_row_gets_another_rows_answer_of_the_same_decision():
    order = swapped(ANSWERS.argmax(1), torch.Generator().manual_seed(3))
    assert sorted(order.tolist()) == list(range(24))
    assert (order != torch.arange(24)).all()
    assert torch.equal(ANSWERS[order].argmax(1), ANSWERS.argmax(1))
    assert torch.equal(order, swapped(ANSWERS.argmax(1), torch.Generator().manual_seed(3)))
    assert not torch.equal(order, swapped(ANSWERS.argmax(1), torch.Generator().manual_seed(4)))


def test_the_only_row_of_a_decision_keeps_its_own():
    assert swapped(torch.arange(3), torch.Generator().manual_seed(0)).tolist() == [0, 1, 2]
    assert swapped(torch.tensor([0, 0, 1]), torch.Generator().manual_seed(0)).tolist() == [1, 0, 2]


def test_shuffled_is_the_student_with_the_answers_of_other_rows():
    torch.manual_seed(5)
    made = objective("shuffled", {"supervised": 0.0}, ANSWERS)
    assert isinstance(made, Distillation)
    model, rows = net(PICKED), batch(10, 3, 7)
    torch.testing.assert_close(
        made(model, rows), kd_loss(model(rows.inputs), made.answers[rows.rows]).mean()
    )
    assert sorted(made.answers.tolist()) == sorted(ANSWERS.tolist())
    assert not (made.answers == ANSWERS).all(dim=1).any()
    torch.manual_seed(5)
    assert torch.equal(made.answers, ANSWERS[made.order])
    assert section_of("shuffled", {"supervised": 0.0}) == {"supervised": 0.0}


def test_decisions_that_answers_do_not_say_are_what_hard_learns_and_shuffled_keeps():
    decided = (ANSWERS.argmax(1) + 1) % 3  # as of a sample in which another class came most
    model, rows = net(PICKED), batch(10, 3, 7)
    section = {"supervised": 0.0}
    hard = objective("hard", section, ANSWERS, decided=decided)
    torch.testing.assert_close(
        hard(model, rows), F.cross_entropy(model(rows.inputs), decided[rows.rows])
    )
    torch.manual_seed(5)
    blind = objective("shuffled", section, ANSWERS, decided=torch.zeros(24, dtype=torch.int64))
    torch.manual_seed(5)
    told = objective("shuffled", section, ANSWERS, decided=decided)
    assert isinstance(blind, Distillation)
    assert isinstance(told, Distillation)
    assert torch.equal(decided[told.order], decided)
    assert not torch.equal(decided[blind.order], decided)


def test_shuffled_swaps_the_features_too():
    model = net(PICKED)
    made = objective(
        "shuffled",
        {"method": {"name": "fitnet"}},
        ANSWERS,
        pair=Pair(model, net(PICKED, seed=2).eval(), PICKED),
    )
    straight = objective(
        "student",
        {"method": {"name": "fitnet"}},
        ANSWERS,
        pair=Pair(model, net(PICKED, seed=2).eval(), PICKED),
    )
    straight.load_state_dict(made.state_dict())
    assert made(model, batch(0, 1)).item() != straight(model, batch(0, 1)).item()


def test_smooth_learns_smoothed_labels_alone():
    made = objective("smooth", {"method": {"name": "dist"}, "smoothing": 0.3}, None)
    assert isinstance(made, SmoothedLabels)
    model, rows = net(PICKED), batch(0, 1, 12)
    torch.testing.assert_close(
        made(model, rows),
        F.cross_entropy(model(rows.inputs[:2]), rows.targets[:2], label_smoothing=0.3),
    )
    assert torch.equal(rows_of("smooth", PICKED).rows, PICKED.labelled.rows)
    assert made(model, batch(12, 13)).item() == 0


def test_smoothing_by_hand():
    """Logits (ln 3, 0), target 0, smoothing 1/2: 3/4 of ln 4/3 and 1/4 of ln 4."""

    class Fixed(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[3.0, 1.0]]).log()

    found = SmoothedLabels(0.5)(
        Fixed(),
        Batch(torch.zeros(1, 1), torch.tensor([0]), torch.tensor([True]), torch.tensor([0])),
    )
    assert found.item() == pytest.approx(0.75 * 0.287682 + 0.25 * 1.386294, abs=1e-6)


def test_a_part_is_left_out_by_its_name_and_once_it_is_out_nothing_more():
    assert without_part(PARTS, "dist") == {
        "name": "combine",
        "parts": [{"name": "kd", "weight": 0.5}, {"name": "rkd", "weight": 0.1}],
    }
    once = section_of("no_kd", {"method": PARTS, "supervised": 0.2, "controls": ["no_kd"]})
    assert once == {"method": {"name": "combine", "parts": PARTS["parts"][1:]}, "supervised": 0.2}
    assert section_of("no_kd", once) == once
    made = objective("no_kd", once, ANSWERS)
    assert isinstance(made, Distillation)
    assert len(made.method.parts) == 2


def test_only_smooth_has_the_smoothing():
    section = {"smoothing": {"float": [0.0, 0.3]}}
    assert section_of("smooth", section)["smoothing"] == {"float": [0.0, 0.3]}
    assert all(
        "smoothing" not in section_of(arm, section)
        for arm in ("student", "none", "hard", "shuffled")
    )


def test_the_default_is_what_it_was():
    assert read(None).controls == ("none", "hard")
    assert section_of("student", {"epochs": 3}) == {"epochs": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"controls": ["none", "hrd"]},
            r"distill\.controls\.1: there is no control 'hrd'.*Did you mean 'hard'",
        ),
        ({"controls": ["none", "none"]}, "'none' stands twice"),
        ({"controls": ["no_ce"]}, "the method has no part 'ce'"),
        (
            {"controls": ["no_kd"], "method": {"name": "kd"}},
            "'no_kd' takes a part away, but the method has none",
        ),
        (
            {"controls": ["no_kd"], "method": {"name": "combine", "parts": [{"name": "kd"}]}},
            "without 'kd' nothing is left",
        ),
        (
            {"controls": ["no_kd"], "method": {"choice": [PARTS, PARTS]}},
            "takes a part away, but the method has none",
        ),
        ({"controls": {"choice": [["none"], ["hard"]]}}, "a search space"),
        ({"controls": ["none", {"choice": ["hard", "smooth"]}]}, "a search space"),
        ({"controls": "none"}, r"distill\.controls"),
        ({"controls": [1]}, r"distill\.controls"),
        ({"smoothing": 1.0}, "less than 1"),
    ],
)
def test_controls_that_cannot_be_meant_are_refused(change: dict[str, object], said: str):
    good = {
        "method": PARTS,
        "controls": ["none", "hard", "smooth", "shuffled", "no_kd", "no_dist"],
        "smoothing": {"float": [0.05, 0.3]},
    }
    check(good)
    with pytest.raises(SettingsError, match=said):
        check({**good, **change})
