import pytest
import torch
from torch import nn

from stillhouse.attacks import Space, Threat
from stillhouse.evaluation.tasks import Regression
from stillhouse.robustness.case import make_case
from stillhouse.robustness.pushed import push, pushed
from stillhouse.robustness.subject import Subject

WEIGHTS = torch.tensor([1.0, -2.0, 0.5])
OPEN = Space.box(-90.0, 90.0)


def linear(inputs):
    return inputs @ WEIGHTS


def rows():
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    truth = linear(inputs) + torch.randn(50, generator=torch.Generator().manual_seed(1))
    truth[:10] = linear(inputs[:10])  # answered exactly: the error has no slope there
    return inputs, truth


@pytest.mark.parametrize(("norm", "reach"), [("linf", 3.5), ("l2", 5.25**0.5)])
def test_the_worst_error_of_a_linear_model_is_found_on_either_side(norm, reach):
    """It is the error as it is, and epsilon times the weights' dual norm."""
    inputs, truth = rows()
    found = push(linear, inputs, truth, Threat(norm, 0.2, OPEN))
    worst = (linear(inputs) - truth).abs() + 0.2 * reach
    torch.testing.assert_close((linear(found) - truth).abs(), worst, rtol=1e-3, atol=1e-3)
    assert Threat(norm, 0.2, OPEN).allows(found, inputs).all()


class Net(nn.Module):
    def forward(self, inputs):
        return linear(inputs)[:, None]


def test_the_deployed_model_has_the_last_word_and_an_attack_never_helps():
    inputs, truth = rows()
    case = make_case({"name": "pgd", "norm": "linf", "epsilon": 0.2, "steps": 10}, "a")

    def judged(answer, tolerance=1.0):
        subject = Subject(Net(), answer, inputs, truth, OPEN, 0)
        return pushed(case, subject, Regression(), tolerance)

    clean = (linear(inputs) - truth).abs()
    own = judged(Net())
    torch.testing.assert_close(own.errors.float(), clean + 0.7, rtol=1e-3, atol=1e-3)
    assert torch.equal(own.within, own.errors <= 1.0)
    assert judged(Net(), tolerance=9.0).within.all()
    # a deployed model that always tells the truth is not pushed
    assert judged(lambda inputs: truth[:, None]).errors.max() == 0
    told = own.as_dict(0)
    assert told["within"][1] == own.metrics()["robust/pgd_linf_0.2/within"]
    assert told["label"] == "pgd_linf_0.2"
