"""Students that are asked at once against the same students asked one by one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from training.blobs import blobs

from stillhouse import config
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.together import joined, plain
from stillhouse.models.outputs import Batch

DATA = blobs(24)
ANSWERS = torch.randn(24, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def student(method: dict[str, Any], supervised: float, answers: Tensor = ANSWERS) -> Distillation:
    made = Distillation(
        method=config.plugin("methods", method, where="method"),
        selector=config.plugin("selectors", {"name": "all"}, where="selector"),
        supervised=supervised,
        answers=answers,
    )
    return made.double()


def batches(members: int) -> Batch:
    rows = torch.stack([torch.randperm(24)[:8] for _ in range(members)])
    targets = torch.where(torch.rand(members, 8) < 0.5, DATA.targets[rows], -1)
    return Batch(DATA.inputs[rows].double(), targets, targets >= 0, rows)


class Says(torch.nn.Module):
    """A model whose answer is known."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def outputs(self, inputs: Tensor):
        from stillhouse.models.outputs import Outputs

        return Outputs(self.logits)

    def standard(self, told: Tensor) -> Tensor:
        return told


def one(batch: Batch, at: int) -> Batch:
    return replace(
        batch,
        inputs=batch.inputs[at],
        targets=batch.targets[at],
        labelled=batch.labelled[at],
        rows=batch.rows[at],
    )


SPECS = [
    [{"name": "kd", "temperature": t} for t in (1.0, 4.0, 9.5)],
    [{"name": "kd", "temperature": 3.0, "standardize": True}] * 3,
    [{"name": "wttm", "temperature": t} for t in (1.5, 4.0, 4.0)],
    [{"name": "dkd", "alpha": a, "beta": 9 * a, "temperature": 2.0} for a in (0.1, 1.0, 2.0)],
    [{"name": "ce"}] * 3,
    [
        {
            "name": "combine",
            "parts": [{"name": "kd", "temperature": t, "weight": t / 9}, {"name": "ce"}],
        }
        for t in (1.0, 4.0, 9.5)
    ],
]


@pytest.mark.parametrize("specs", SPECS, ids=lambda specs: specs[0]["name"])
@pytest.mark.parametrize("own_answers", [False, True])
def test_asked_at_once_each_student_has_the_loss_that_it_has_alone(
    specs: list[dict[str, Any]], own_answers: bool
) -> None:
    mine = [
        student(spec, share, ANSWERS.flip(0) if own_answers and at else ANSWERS)
        for at, (spec, share) in enumerate(zip(specs, (0.0, 0.1, 0.7), strict=True))
    ]
    batch, logits = batches(3), torch.randn(3, 8, 3, dtype=torch.float64)
    together = Distillation.at_once(mine)
    assert together is not None
    apart = [each(Says(logits[at]), one(batch, at)) for at, each in enumerate(mine)]
    torch.testing.assert_close(together(logits, batch), torch.stack(apart), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "specs",
    [
        [{"name": "kd"}, {"name": "kd", "standardize": True}],
        [{"name": "kd"}, {"name": "ce"}],
        [{"name": "dist", "temperature": 1.0}, {"name": "dist", "temperature": 2.0}],
    ],
)
def test_what_differs_in_more_than_numbers_is_asked_one_by_one(specs: list[dict[str, Any]]) -> None:
    assert Distillation.at_once([student(spec, 0.1) for spec in specs[:1] * 2]) is None or (
        specs[0]["name"] == "kd"
    )
    assert Distillation.at_once([student(spec, 0.1) for spec in specs]) is None


def test_a_method_with_weights_or_a_look_inside_is_not_plain() -> None:
    made = {
        name: config.plugin("methods", {"name": name}, where="m")
        for name in ("kd", "fitnet", "srd")
    }
    assert {name: plain(method) for name, method in made.items()} == {
        "kd": True,
        "fitnet": False,
        "srd": False,
    }
    assert joined([made["kd"], made["srd"]], 2, ANSWERS) is None
