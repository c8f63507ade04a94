import pytest
import torch
from distillation.rows import STUDENT, TEACHER, batch

from stillhouse.distillation.methods.fitnet import Fitnet, fitnet_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs

ROWS = batch(torch.tensor([0, 1, -1]))


def outputs(*shape: int, seed: int = 0) -> Outputs:
    return Outputs(
        TEACHER, {"middle": torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))}
    )


def test_golden_value_by_hand():
    """Rows (1, 2) and (0, 0) against (3, 2) and (1, −1): means of (4, 0) and (1, 1)."""
    student, teacher = (
        torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
        torch.tensor([[3.0, 2.0], [1.0, -1.0]]),
    )
    assert fitnet_loss(student, teacher).tolist() == [2.0, 1.0]


def test_the_method_is_the_function_behind_its_projector():
    method, mine, its = Fitnet(), outputs(4), outputs(6, seed=1)
    method.build(mine, its)
    assert method.projector is not None
    found = method(mine, its, ROWS)
    torch.testing.assert_close(
        found, fitnet_loss(method.projector(mine.features["middle"]), its.features["middle"])
    )
    assert {name for name, _ in method.named_parameters()} == {
        "projector.matrix.weight",
        "projector.matrix.bias",
    }


@pytest.mark.parametrize(
    ("mine", "its"),
    [
        ((4,), (6,)),
        ((2, 4, 4), (3, 2, 2)),
        ((2, 5), (3, 8)),
        ((4,), (3, 2, 2)),
        ((2, 5), (6,)),
        ((2, 4, 4), (3, 7)),
    ],
)
def test_features_of_any_two_shapes_can_be_compared(mine: tuple[int, ...], its: tuple[int, ...]):
    method, student, teacher = Fitnet(), outputs(*mine), outputs(*its, seed=1)
    method.build(student, teacher)
    loss = method(student, teacher, ROWS)
    assert loss.shape == (3,)
    assert (loss > 0).all()
    torch.testing.assert_close(
        loss[:1],
        method(
            *(
                Outputs(o.logits[:1], {"middle": o.features["middle"][:1]})
                for o in (student, teacher)
            ),
            ROWS,
        ),
    )


def test_of_maps_the_projector_is_a_one_by_one_convolution():
    method, student, teacher = Fitnet(), outputs(2, 4, 4), outputs(3, 4, 4, seed=1)
    method.build(student, teacher)
    assert method.projector is not None
    weight, bias = method.projector.matrix.weight, method.projector.matrix.bias
    sent = torch.nn.functional.conv2d(student.features["middle"], weight[:, :, None, None], bias)
    torch.testing.assert_close(
        method(student, teacher, ROWS),
        (sent - teacher.features["middle"]).square().mean(dim=(1, 2, 3)),
    )


def test_no_gradient_flows_into_the_teacher():
    teacher = torch.ones(1, 2, requires_grad=True)
    assert not fitnet_loss(torch.zeros(1, 2), teacher).requires_grad


def test_before_it_was_built_it_says_so():
    with pytest.raises(UsageError, match="the projector of 'fitnet' was not made"):
        Fitnet()(outputs(4), outputs(6), ROWS)


def test_layers_may_have_other_names_on_both_sides():
    assert Fitnet(layer="net.hidden1", teacher_layer="late").taps == (("net.hidden1", "late"),)
    assert Fitnet(layer="late").taps == (("late", "late"),)
    assert STUDENT.shape == TEACHER.shape
