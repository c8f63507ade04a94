import torch

from stillhouse.attacks.losses import dlr


def test_the_ratio_is_the_papers():
    logits = torch.tensor([[5.0, 3.0, 1.0, 0.0], [1.0, 4.0, 3.0, 0.0]])
    torch.testing.assert_close(
        dlr(logits, torch.tensor([0, 0])), torch.tensor([-2.0 / 4.0, 3.0 / 3.0])
    )


def test_neither_a_shift_nor_a_factor_changes_it():
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(20) % 5
    torch.testing.assert_close(
        dlr(1000 * logits + 7, targets), dlr(logits, targets), rtol=1e-3, atol=1e-3
    )


def test_two_classes_have_no_third_logit_and_get_the_margin():
    assert dlr(torch.tensor([[3.0, 1.0]]), torch.tensor([0])).tolist() == [-2.0]


def test_equal_logits_are_a_number():
    assert dlr(torch.zeros(1, 3), torch.tensor([1])).isfinite().all()
