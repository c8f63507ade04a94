import pytest
import torch
from torch import nn

from stillhouse.attacks.space import Space
from stillhouse.errors import UsageError
from stillhouse.evaluation.intervals import proportion
from stillhouse.robustness.case import make_cases
from stillhouse.robustness.corruptions.noise import Noise
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.suite import Suite, examine

SPECS = [
    {"name": "pgd", "norm": "linf", "epsilon": 0.2},
    {"name": "fgsm", "norm": "linf", "epsilon": 0.1},
    {"name": "pgd", "norm": "l2", "epsilon": 0.5},
]


def net(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3)).eval()
        with torch.no_grad():
            made[0].bias.copy_(
                made[0].weight @ torch.full((6,), -0.5)
            )  # its boundaries cross the middle of the unit cube
            made[2].bias.zero_()
        return made


def subject(answer=None):
    inputs = torch.rand(80, 6, generator=torch.Generator().manual_seed(2))
    model = net(0)
    targets = model(inputs).argmax(dim=1)
    targets[:5] = (targets[:5] + 1) % 3
    return Subject(model, answer or model, inputs, targets, Space.box(), 0)


def examined(who=None, surrogate=None, specs=SPECS, corruptions=None):
    with torch.no_grad():
        return examine(
            who or subject(),
            Suite(
                make_cases(specs, "a"),
                {"noise": Noise()} if corruptions is None else corruptions,
                surrogate,
                "no gradients.",
            ),
            lambda *a: None,
        )


def test_outcomes_are_kept_row_by_row_and_make_every_number_again():
    found = examined(surrogate=net(4))
    outcomes, said, metrics = found.outcomes(), found.as_dict(0), found.metrics()
    assert sorted(outcomes) == sorted(
        ["clean", *(f"corruption/noise/{s}" for s in range(1, 6))]
        + [
            f"attack/{label}"
            for label in (
                "pgd_linf_0.2",
                "fgsm_linf_0.1",
                "pgd_l2_0.5",
                "transfer_linf_0.2",
                "transfer_linf_0.1",
                "transfer_l2_0.5",
            )
        ]
    )
    assert all(o.dtype == torch.uint8 and o.shape == (80,) for o in outcomes.values())
    assert outcomes["clean"].sum() == 75
    for entry in said["attacks"]:
        kept = outcomes[f"attack/{entry['label']}"]
        assert entry["accuracy"] == list(proportion(int(kept.sum()), 80))
        assert metrics[f"robust/{entry['label']}/accuracy"] == float(kept.double().mean())
    linf = torch.stack([o for name, o in outcomes.items() if "_linf_" in name]).amin(dim=0)
    assert metrics["robust/linf/accuracy"] == float(linf.double().mean())
    by_severity = [float(outcomes[f"corruption/noise/{s}"].double().mean()) for s in range(1, 6)]
    assert said["corruptions"][0]["accuracy_by_severity"] == by_severity
    assert metrics["corruption/mean_accuracy"] == pytest.approx(sum(by_severity) / 5)
    assert said["not_measured"] == []


def test_the_deployed_model_has_the_last_word():
    def stubborn(inputs):
        return torch.nn.functional.one_hot(who.targets, 3).float()

    who = subject(stubborn)
    found = examined(who)
    assert all(result.still.all() for result in found.results)
    assert found.metrics()["robust/linf/accuracy"] == 1.0
    assert examined().metrics()["robust/linf/accuracy"] < 1.0


def test_a_curve_falls_and_agrees_with_the_attacks_on_its_way():
    found = examined()
    curve = next(c for c in found.curves if c["norm"] == "linf")
    values = [a[1] for a in curve["accuracy"]]
    assert curve["label"] == "pgd_linf_0.2"
    assert curve["epsilon"][0] == 0
    assert curve["epsilon"][-1] == pytest.approx(0.3)
    assert values[0] == 75 / 80
    assert values == sorted(values, reverse=True)
    assert values[curve["epsilon"].index(0.2)] <= found.metrics()["robust/linf/accuracy"]
    assert values[-1] < values[1]


def test_a_teacher_that_is_the_student_carries_all_its_rows_over():
    found = examined(surrogate=net(0), specs=SPECS[:1])
    [crossed] = found.crossed
    assert crossed["fooled_teacher"] == crossed["fooled_both"] > 0
    assert crossed["crossed"][1] == 1.0


def test_without_gradients_of_the_teacher_transfer_is_listed_as_not_measured_and_refused_where_it_is_asked_for():
    found = examined()
    assert found.not_measured == [{"name": "transfer", "reason": "no gradients."}]
    assert found.crossed == []
    with pytest.raises(UsageError, match="Transfer"):
        examined(specs=[{"name": "transfer", "norm": "linf", "epsilon": 0.1}])


def test_adding_an_attack_changes_no_other():
    alone = examined(specs=SPECS[:1]).outcomes()["attack/pgd_linf_0.2"]
    assert torch.equal(alone, examined(specs=SPECS[::-1]).outcomes()["attack/pgd_linf_0.2"])


def test_nothing_to_attack_and_nothing_to_corrupt_leaves_the_clean_accuracy():
    found = examined(specs=[], corruptions={})
    assert found.metrics() == {"robust/clean/accuracy": 75 / 80}
    assert found.not_measured == []


def test_the_same_seed_gives_the_same_findings():
    first, again = examined(surrogate=net(4)), examined(surrogate=net(4))
    assert first.as_dict(0) == again.as_dict(0)
