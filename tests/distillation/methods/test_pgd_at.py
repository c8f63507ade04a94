import pytest
import torch
from distillation.classrooms import attacked, lone
from distillation.rows import STUDENT, TEACHER, batch

from stillhouse.distillation.methods.pgd_at import PGDAt, decided, pgd_at_loss
from stillhouse.models.outputs import Outputs


def test_golden_value_by_hand():
    """Probabilities 3/4 and 1/4: −ln 3/4 of the first class; a row without a target is worth 0."""
    attacked_logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log()
    found = pgd_at_loss(attacked_logits, torch.tensor([0, -1]))
    torch.testing.assert_close(found, torch.tensor([0.28768207, 0.0]))


def test_the_search_raises_the_loss_inside_the_ball_and_leaves_the_model_as_it_was():
    found = attacked(PGDAt(epsilon=0.5, steps=5))
    assert found.distance <= 0.5 * (1 + 1e-5)
    targets = found.batch.targets
    before, after = (
        pgd_at_loss(found.model(rows), targets).mean()
        for rows in (found.batch.inputs, found.inputs)
    )
    assert after > before
    assert found.model.training
    assert all(weight.requires_grad and weight.grad is None for weight in found.model.parameters())


def test_a_row_without_a_label_has_the_teachers_decision_and_else_none():
    rows = batch(torch.tensor([0, 1, -1]))
    assert decided(rows, TEACHER).tolist() == [0, 1, 2]
    assert decided(rows, None).tolist() == [0, 1, -1]
    found = PGDAt()(Outputs(STUDENT), Outputs(TEACHER), rows)
    torch.testing.assert_close(found, pgd_at_loss(STUDENT, torch.tensor([0, 1, 2])))


def test_it_needs_no_teacher():
    assert lone(PGDAt(steps=2)).item() > 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_same_generator_finds_the_same_rows_in_either_norm(norm: str):
    first, again = (attacked(PGDAt(epsilon=0.3, norm=norm, steps=3)) for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    assert first.distance <= 0.3 * (1 + 1e-5)
