import math

import torch
from distillation.classrooms import attacked, lone
from distillation.rows import STUDENT, TEACHER

from stillhouse.distillation.methods.trades import TRADES, spread, trades_loss


def test_golden_value_by_hand():
    """Clean (3/4, 1/4), attacked (1/2, 1/2), target 0: −ln 3/4 + 2 (3/4 ln 3/2 + 1/4 ln 1/2)."""
    clean, hit = torch.tensor([[3.0, 1.0]]).log(), torch.zeros(1, 2)
    wanted = -math.log(0.75) + 2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    found = trades_loss(hit, clean, torch.tensor([0]), beta=2.0)
    torch.testing.assert_close(found, torch.tensor([wanted]))


def test_as_torchs_own_divergence_has_it_with_gradients_into_both_answers():
    clean, hit = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    loss = trades_loss(hit, clean, torch.tensor([0, 1, 2]), beta=6.0).mean()
    ours = torch.autograd.grad(loss, [clean, hit])
    divergence = torch.nn.functional.kl_div(
        hit.log_softmax(dim=1), clean.softmax(dim=1), reduction="sum"
    )
    natural = torch.nn.functional.cross_entropy(clean, torch.tensor([0, 1, 2]))
    whole = natural + 6.0 * divergence / 3
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(ours, torch.autograd.grad(whole, [clean, hit]))


def test_a_row_without_a_target_is_only_held_steady():
    found = trades_loss(STUDENT, STUDENT, torch.tensor([-1, -1, -1]))
    torch.testing.assert_close(found, torch.zeros(3))


def test_the_search_moves_the_answer_away_from_the_clean_one():
    found = attacked(TRADES(epsilon=0.5, steps=5))
    assert found.distance <= 0.5 * (1 + 1e-5)
    clean = found.model(found.batch.inputs)
    assert spread(found.model(found.inputs), clean).mean() > 1e-3
    assert lone(TRADES(steps=2)).item() > 0


def test_extreme_logits_stay_finite():
    clean = torch.tensor([[1e4, -1e4]], requires_grad=True)
    trades_loss(torch.tensor([[-1e4, 1e4]]), clean, torch.tensor([0])).sum().backward()
    assert clean.grad is not None
    assert torch.isfinite(clean.grad).all()
