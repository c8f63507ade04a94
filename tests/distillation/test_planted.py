"""Planted teachers: one that knows nothing of a row is exposed, one that knows is found. The long
run on digits is benchmarks/distillation/planted.py.
"""

from functools import cache

import pytest
import torch
from torch import Tensor
from training.blobs import SCHEMA, blobs, net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation import arms
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.gain import two_way
from stillhouse.evaluation.knowing import knowing
from stillhouse.evaluation.metrics import correct
from stillhouse.receipt.advice import helped
from stillhouse.training.fleet import Member, fit_together

SEEDS, LABELLED, ROWS = 5, 6, 48
SECTION = {
    "method": {"name": "kd", "temperature": 2.0},
    "supervised": 0.2,
    "optimizer": {"name": "adamw", "lr": 0.03},
    "epochs": 25,
    "batch": ROWS,
}
KINDS = ("noise", "constant", "prior", "shuffled", "real")


@cache
def data(number: int) -> tuple[Dataset, Dataset, Tensor]:
    """Rows of which six are labelled, test rows, and a teacher that knows the three clouds."""
    full, test = blobs(ROWS, seed=1000 + number), blobs(150, seed=2000 + number)
    known = torch.where(torch.arange(ROWS) < LABELLED, full.targets, -1)
    picked = Dataset(full.inputs, known, SCHEMA, full.rows)
    return picked, test, 2 * full.inputs[:, :3]


def planted(kind: str, told: Tensor, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    if kind == "noise":
        return 3 * torch.randn(told.shape, generator=generator)
    if kind == "constant":
        return (3 * torch.randn(told.shape[1], generator=generator)).expand_as(told).clone()
    if kind == "prior":
        return torch.zeros_like(told)
    if kind == "shuffled":
        return told[torch.randperm(len(told), generator=generator)]
    return told


def members(arm: str, told: Tensor, picked: Dataset) -> list[Member]:
    section, rows = arms.section_of(arm, SECTION), arms.rows_of(arm, picked)
    return [
        Member(
            net(rows, seed=seed),
            arms.objective(arm, section, told),
            arms.fit_settings(section, len(picked), seed),
        )
        for seed in range(SEEDS)
    ]


def right(together: list[Member], rows: Dataset, test: Dataset) -> Tensor:
    fitted = fit_together(together, rows, test.take(torch.arange(0)))
    return torch.stack([correct(logits_of(one.model, test.inputs), test.targets) for one in fitted])


def helpful(number: int) -> dict[str, bool]:
    """Whether a receipt would keep each teacher."""
    picked, test, told = data(number)
    none = right(members("none", told, picked), arms.rows_of("none", picked), test)
    taught = [
        one for kind in KINDS for one in members("student", planted(kind, told, number), picked)
    ]
    every = right(taught, picked, test)
    found = {}
    for at, kind in enumerate(KINDS):
        gain = two_way(every[at * SEEDS : (at + 1) * SEEDS], none, count=400)
        of_test = planted(kind, 2 * test.inputs[:, :3], number + 1)
        found[kind] = helped(gain, knowing(of_test, test.targets))
    return found


def exposed(runs: int) -> dict[str, int]:
    """How often each teacher was not called helpful."""
    found = [helpful(number) for number in range(runs)]
    return {kind: sum(not one[kind] for one in found) for kind in KINDS}


def test_useless_teachers_are_exposed_and_an_informative_one_is_found():
    counts = exposed(3)
    assert {kind: counts[kind] for kind in KINDS[:-1]} == dict.fromkeys(KINDS[:-1], 3)
    assert counts["real"] == 0


@pytest.mark.stories
def test_in_a_hundred_runs_at_most_five_useless_teachers_pass():
    counts = exposed(100)
    assert all(counts[kind] >= 95 for kind in KINDS[:-1]), counts
    assert counts["real"] <= 10, counts
