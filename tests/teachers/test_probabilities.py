import torch

from stillhouse.teachers.probabilities import are_probabilities, log_probabilities


def test_the_logits_of_probabilities_have_them_as_softmax_also_where_one_is_zero() -> None:
    chance = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0]])
    logits = log_probabilities(chance)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.softmax(dim=1), chance)


def test_softmax_outputs_are_told_from_logits() -> None:
    logits = torch.randn(50, 4)
    assert are_probabilities(logits.softmax(dim=1))
    assert not are_probabilities(logits)
    assert not are_probabilities(logits.sigmoid())
    assert not are_probabilities(logits.log_softmax(dim=1))
