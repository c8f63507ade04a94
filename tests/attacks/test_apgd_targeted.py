import torch
from attacks.linear import OPEN, classes

from stillhouse.attacks.apgd_targeted import APGDTargeted
from stillhouse.attacks.gradient import rivals
from stillhouse.attacks.losses import dlr_targeted
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat


def test_the_targeted_ratio_is_the_papers():
    logits = torch.tensor([[5.0, 3.0, 1.0, 0.0, -4.0]])
    torch.testing.assert_close(
        dlr_targeted(logits, torch.tensor([0]), torch.tensor([4])),
        torch.tensor([-9.0 / (5.0 - 0.5)]),
    )


def test_with_fewer_than_four_classes_it_is_the_plain_difference():
    assert dlr_targeted(
        torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([0]), torch.tensor([2])
    ).tolist() == [-4.0]
    assert dlr_targeted(
        torch.tensor([[5.0, 3.0]]), torch.tensor([0]), torch.tensor([1])
    ).tolist() == [-2.0]


def test_rivals_are_the_likeliest_wrong_classes_and_never_the_target():
    logits = torch.tensor([[1.0, 9.0, 3.0, 2.0]])
    assert rivals(logits, torch.tensor([1]), 2).tolist() == [[2, 3]]
    assert rivals(logits, torch.tensor([0]), 9).tolist() == [[1, 2, 3]]


def test_the_second_goal_is_tried_where_the_first_is_out_of_reach():
    # The likeliest rival's logit runs beside the target's; only the second rival can be reached.
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    model = classes(weights)
    with torch.no_grad():
        model.bias = torch.nn.Parameter(torch.tensor([0.0, -0.5, -0.8]))
    inputs, targets = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
    one, two = (
        run_attack(
            APGDTargeted(steps=10, goals=goals),
            model,
            inputs,
            targets,
            threat=Threat("linf", 0.5, OPEN),
            generator=torch.Generator().manual_seed(0),
        )
        for goals in (1, 2)
    )
    assert not two.still_correct.any()
    assert one.inputs.shape == two.inputs.shape
