import pytest
import torch
from distillation.classrooms import taught
from distillation.rows import TEACHER, batch
from torch import Tensor, nn

from stillhouse.distillation.methods.reviewkd import Fusion, Reviewkd, hcl_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs

STAGES = ("early", "middle", "late")


def by_the_authors(student: Tensor, teacher: Tensor) -> Tensor:
    """The loss of their code for one pair of square maps, meaned over the batch."""
    total, worth, mass = nn.functional.mse_loss(student, teacher), 1.0, 1.0
    for level in (4, 2, 1):
        if level < student.shape[2]:
            worth /= 2
            pooled = [nn.functional.adaptive_avg_pool2d(maps, level) for maps in (student, teacher)]
            total = total + worth * nn.functional.mse_loss(*pooled)
            mass += worth
    return total / mass


def test_golden_value_by_hand():
    """A 2 × 2 map off by (2, 0, 0, 0): mean square 1, the pooled difference 1/2 squared is worth
    half: (1 + 1/8) / 1.5.
    """
    student = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    assert hcl_loss(student, torch.zeros(1, 1, 2, 2)).item() == pytest.approx(0.75)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 8])
def test_square_maps_are_compared_as_in_the_authors_code(side: int):
    student, teacher = torch.randn(2, 5, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(hcl_loss(student, teacher).mean(), by_the_authors(student, teacher))


def test_maps_that_are_longer_than_wide_are_pooled_along_both_axes():
    """The authors look at the height alone: of 2 × 8 maps they would compare no level but 1."""
    student, teacher = torch.zeros(2, 1, 1, 2, 8), torch.zeros(1, 1, 2, 8)
    student[1, 0, 0, :, :4] = 1.0
    found = hcl_loss(student[1], teacher)
    square, halves, whole = 0.5, 0.5, 0.25
    assert found.item() == pytest.approx(
        (square + 0.5 * square + 0.25 * halves + whole / 8) / 1.875
    )


def outputs(sides: tuple[int, ...], channels: int, seed: int, rows: int = 3) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(channels * (at + 1), side, side) for at, side in enumerate(sides)]
    made = {
        name: torch.randn(rows, *shape, generator=generator)
        for name, shape in zip(STAGES, shapes, strict=True)
    }
    return Outputs(TEACHER[:rows], made)


def test_stages_of_any_size_are_brought_to_the_teachers_and_learned_row_by_row():
    student, teacher = outputs((8, 4, 2), 2, 0), outputs((6, 6, 3), 5, 1)
    method = Reviewkd(warmup=0.0)
    method.build(student, teacher)
    method.enter(classroom())
    loss = method(student, teacher, batch(torch.tensor([0, 1, -1])))
    assert loss.shape == (3,)
    loss.sum().backward()
    assert all(weight.grad is not None for weight in method.parameters())
    assert len(list(method.parameters())) == 3 * 6 + 2 * 2


def classroom():
    method = Reviewkd(layers=("early",))
    taught(method)
    return method.classroom


def test_the_deepest_stage_is_fused_with_nothing_and_the_others_with_it():
    alone = Fusion(3, 4, 5, deeper=False)
    made, kept = alone(torch.randn(2, 3, 4, 4), None, (2, 2))
    assert made.shape == (2, 5, 2, 2)
    assert kept.shape == (2, 4, 2, 2)
    both = Fusion(3, 4, 5, deeper=True)
    first, _ = both(torch.ones(2, 3, 4, 4), kept, (4, 4))
    other, _ = both(torch.ones(2, 3, 4, 4), kept + 1, (4, 4))
    assert not torch.equal(first, other)


def test_one_row_of_one_position_has_a_finite_loss():
    vectors = Outputs(TEACHER[:1], {"late": torch.ones(1, 4)})
    method = Reviewkd(layers=("late",), warmup=0.0)
    method.build(vectors, vectors)
    method.enter(classroom())
    assert torch.isfinite(method(vectors, vectors, batch(torch.tensor([0])))).all()


def test_its_parts_train_with_the_student_and_a_mismatch_is_refused():
    assert taught(Reviewkd()).item() > 0
    with pytest.raises(UsageError, match="2 layers of the student and 1 of the teacher"):
        Reviewkd(layers=("early", "late"), teacher_layers=("late",))
    with pytest.raises(UsageError, match="the fusions of 'reviewkd' were not made"):
        Reviewkd()(outputs((2, 2, 2), 1, 0), outputs((2, 2, 2), 1, 1), batch(torch.tensor([0])))
    with pytest.raises(UsageError, match="'reviewkd' needs features, which 'stored answers'"):
        taught(Reviewkd(), live=False)
