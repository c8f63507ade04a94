import pytest
import torch
from distillation.rows import STUDENT, TEACHER, batch, pairs
from hypothesis import given, settings
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from stillhouse.distillation.methods.rkd import RKD, angle_loss, distance_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs

CORNERS = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
LINE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)


def test_golden_distance_by_hand():
    """Of the pairs 01, 02, 12: 3, 4, 5 over their mean 4 against 1, 2, 1 over 4/3; half the squares
    of what differs, each pair twice among nine.
    """
    mine, its = torch.tensor([3.0, 4.0, 5.0]) / 4, torch.tensor([1.0, 2.0, 1.0]) / (4 / 3)
    wanted = 2 * (0.5 * (mine - its).square()).sum() / 9
    assert distance_loss(CORNERS, LINE).item() == pytest.approx(wanted.item())


def test_golden_angle_by_hand():
    """At the corners of a 3-4-5 triangle 0, 3/5 and 4/5; on a line 1, −1 and 1.

    Each angle twice among 27; those of a row with itself are equal in both.
    """
    differences = torch.tensor([0 - 1.0, 0.6 - (-1.0), 0.8 - 1.0])
    wanted = 2 * smooth_l1_loss(differences, torch.zeros(3), reduction="sum") / 27
    assert angle_loss(CORNERS, LINE).item() == pytest.approx(wanted.item())


def plainly(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distances over their mean and cosines, pair by pair."""
    count = len(rows)
    distances = torch.tensor(
        [[float((a - b).square().sum().sqrt()) for b in rows] for a in rows], dtype=torch.float64
    )
    directions = torch.nn.functional.normalize(rows[None] - rows[:, None], dim=2)
    cosines = torch.tensor(
        [
            [
                [float(directions[i, j] @ directions[i, k]) for k in range(count)]
                for j in range(count)
            ]
            for i in range(count)
        ]
    )
    return distances / distances[distances > 0].mean(), cosines.double()


def test_it_is_what_a_plain_loop_finds():
    student, teacher = plainly(STUDENT.double()), plainly(TEACHER.double())
    assert distance_loss(STUDENT.double(), TEACHER.double()).item() == pytest.approx(
        smooth_l1_loss(student[0], teacher[0]).item()
    )
    assert angle_loss(STUDENT.double(), TEACHER.double()).item() == pytest.approx(
        smooth_l1_loss(student[1], teacher[1]).item(), rel=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_and_blind_to_place_and_to_the_order_of_rows(rows):
    student, teacher = rows
    for loss in (distance_loss, angle_loss):
        found = loss(student, teacher)
        assert found.ndim == 0
        assert found >= 0
        torch.testing.assert_close(found, loss(student + 5, teacher - 3), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found, loss(student.flip(0), teacher.flip(0)))


def test_only_the_shape_counts_not_the_size_nor_the_number_of_features():
    turned = torch.cat([7 * CORNERS, torch.zeros(3, 2).double()], dim=1)
    assert distance_loss(CORNERS, turned).item() == pytest.approx(0, abs=1e-12)
    assert angle_loss(CORNERS, turned).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "student",
    [
        torch.ones(1, 3),
        torch.ones(4, 3),
        torch.full((4, 2), 7.0),
        torch.ones(4, 3) + 1e-9 * torch.arange(4)[:, None],
    ],
)
def test_one_row_and_identical_rows_have_a_finite_gradient(student: Tensor):
    student = student.clone().requires_grad_()
    teacher = torch.cat([TEACHER, TEACHER[:1] + 1])[: len(student)]
    loss = distance_loss(student, teacher) + angle_loss(student, teacher)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e4
    if len(student) == 1:
        assert loss.item() == 0


def test_the_method_weighs_both_parts_and_says_that_it_needs_the_batch():
    found = RKD(distance=2.0, angle=3.0)(
        Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([-1, 0, 1]))
    )
    torch.testing.assert_close(
        found, 2 * distance_loss(STUDENT, TEACHER) + 3 * angle_loss(STUDENT, TEACHER)
    )
    assert not RKD.per_sample
    assert RKD().needs == {"logits"}


def test_a_part_of_weight_nothing_is_left_out():
    given = (Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([0, 1, 2])))
    torch.testing.assert_close(
        RKD(distance=1.0, angle=0.0)(*given), distance_loss(STUDENT, TEACHER)
    )
    torch.testing.assert_close(RKD(distance=0.0, angle=1.0)(*given), angle_loss(STUDENT, TEACHER))
    assert RKD(distance=0.0, angle=0.0)(*given).item() == 0


def test_of_features_it_needs_a_teacher_that_gives_them():
    method = RKD(distance=1.0, angle=0.0, layer="penultimate")
    assert method.needs == {"logits", "features"}
    places = {"penultimate": CORNERS}
    found = method(
        Outputs(STUDENT, places),
        Outputs(TEACHER, {"penultimate": LINE}),
        batch(torch.tensor([0, 1, 2])),
    )
    torch.testing.assert_close(found, distance_loss(CORNERS, LINE))
    with pytest.raises(UsageError, match="'rkd' needs the features 'penultimate'"):
        method(Outputs(STUDENT, places), Outputs(TEACHER), batch(torch.tensor([0, 1, 2])))
