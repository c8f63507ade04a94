import pytest
import torch

from stillhouse.teachers.trust import learn, log_odds


def said(confidence: torch.Tensor, classes: int = 3) -> torch.Tensor:
    """Logits whose first class has these probabilities, the rest in equal parts."""
    rest = ((1 - confidence) / (classes - 1)).unsqueeze(1).expand(-1, classes - 1)
    return torch.cat([confidence.unsqueeze(1), rest], dim=1).log()


def test_log_odds_are_those_of_the_first_class_against_all_others() -> None:
    for classes in (2, 5):
        sure = torch.tensor([0.6, 0.9, 0.99])
        torch.testing.assert_close(
            log_odds(said(sure, classes)), torch.logit(sure.double()), rtol=1e-4, atol=1e-4
        )


def test_a_teacher_that_says_how_often_it_is_right_is_taken_at_its_word() -> None:
    generator = torch.Generator().manual_seed(0)
    sure = 0.4 + 0.59 * torch.rand(20_000, generator=generator)
    right = torch.rand(20_000, generator=generator) < sure
    trust = learn(said(sure), torch.where(right, 0, 1))
    assert trust.slope == pytest.approx(1, abs=0.1)
    torch.testing.assert_close(
        trust.right(said(torch.tensor([0.5, 0.9]))).float(),
        torch.tensor([0.5, 0.9]),
        atol=0.03,
        rtol=0,
    )


def test_a_boaster_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    sure = 0.9 + 0.09 * torch.rand(5_000, generator=generator)
    right = torch.rand(5_000, generator=generator) < 0.5
    trust = learn(said(sure), torch.where(right, 0, 1))
    assert float(trust.right(said(torch.tensor([0.95])))) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("target", [0, 1])
def test_one_that_is_always_right_or_never_stays_finite(target: int) -> None:
    trust = learn(said(torch.full((40,), 0.9)), torch.full((40,), target))
    found = float(trust.weight(said(torch.tensor([0.9]))))
    assert (found > 0.6) if target == 0 else (found < 0.01)


def test_being_surer_never_makes_it_less_right() -> None:
    sure = torch.linspace(0.4, 0.99, 200)
    trust = learn(said(sure), (sure > 0.7).long())  # right only where it is unsure
    assert trust.slope == 0
