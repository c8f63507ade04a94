import pytest
import torch
from distillation.classrooms import ANSWERS, rows, taught

from stillhouse.distillation.methods.embedding import Embedding, embedding_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs


def test_golden_value_by_hand():
    """Cosines 0.6, 1 and −1, whatever the lengths."""
    student = torch.tensor([[3.0, 4.0], [2.0, 0.0], [0.0, 1.0]])
    teacher = torch.tensor([[5.0, 0.0], [7.0, 0.0], [0.0, -9.0]])
    torch.testing.assert_close(embedding_loss(student, teacher), torch.tensor([0.4, 0.0, 2.0]))


def test_an_embedding_without_direction_has_a_finite_loss_and_gradient():
    student = torch.zeros(1, 3, requires_grad=True)
    loss = embedding_loss(student, torch.ones(1, 3))
    loss.sum().backward()
    assert loss.item() == 1.0
    assert torch.isfinite(student.grad).all()


def test_a_learned_projection_lies_between_embeddings_of_two_sizes():
    torch.manual_seed(0)
    student = Outputs(ANSWERS[:8], {"penultimate": torch.randn(8, 5)})
    teacher = Outputs(ANSWERS[:8], {"penultimate": torch.randn(8, 3, 2, 2)})
    method = Embedding()
    method.build(student, teacher)
    assert method.projector.matrix.weight.shape == (3, 5)
    wanted = embedding_loss(
        method.projector(student.features["penultimate"]),
        teacher.features["penultimate"].mean(dim=(2, 3)),
    )
    torch.testing.assert_close(method(student, teacher, rows()), wanted)


def test_a_black_box_is_refused_by_name():
    assert taught(Embedding()).item() > 0
    with pytest.raises(UsageError, match="'embedding' needs features, which 'stored answers'"):
        taught(Embedding(), live=False)
    nothing = Outputs(ANSWERS[:8], {"penultimate": torch.zeros(8, 2)})
    with pytest.raises(UsageError, match="the projector of 'embedding' was not made"):
        Embedding()(nothing, nothing, rows())
