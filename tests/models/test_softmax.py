import pytest
import torch

from stillhouse.models.softmax import MANY, log_softmax


@pytest.mark.parametrize("rows", [3, MANY, MANY + 1])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_log_probabilities_are_torchs_own_with_their_gradients(rows: int, classes: int) -> None:
    logits = torch.randn(rows, classes, dtype=torch.float64).mul(30).requires_grad_()
    wanted = torch.log_softmax(logits, dim=-1)
    found = log_softmax(logits)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn_like(wanted)
    own, its = (torch.autograd.grad((each * weights).sum(), logits)[0] for each in (found, wanted))
    torch.testing.assert_close(own, its)
