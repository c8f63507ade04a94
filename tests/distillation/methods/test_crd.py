import math
from dataclasses import replace

import pytest
import torch
from distillation.classrooms import ANSWERS, DATA, TEACHER, rows, taught
from training.blobs import net

from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.crd import CRD, Bank, contrast_loss
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs
from stillhouse.training.fit import FitSettings, fit


def test_golden_value_by_hand():
    """Two drawn of four rows: noise 1/2. −ln (1 / 1.5) − ln (0.5 / 1) − ln (0.5 / 2)."""
    scores = torch.tensor([[1.0, 0.5, 1.5]])
    wanted = math.log(1.5) + math.log(2) + math.log(4)
    assert contrast_loss(scores, rows=4).item() == pytest.approx(wanted, abs=1e-5)


def test_its_mean_is_that_of_the_authors_code():
    scores, rows, drawn = torch.rand(5, 8, dtype=torch.float64) + 0.1, 20, 7
    noise = drawn / rows
    first = (scores[:, 0] / (scores[:, 0] + noise + 1e-7)).log()
    others = (noise / (scores[:, 1:] + noise + 1e-7)).log()
    torch.testing.assert_close(
        contrast_loss(scores, rows).mean(), -(first.sum() + others.sum()) / 5
    )


def test_the_first_batch_sets_the_constant_and_rows_are_remembered_on_the_sphere():
    bank = Bank(rows=6, size=4)
    found = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    drawn = torch.tensor([[0, 3, 5], [1, 2, 2]])
    scores = bank.scores(found, drawn, 0.5)
    raw = ((found[:, None] * bank.held[drawn]).sum(dim=2) / 0.5).exp()
    torch.testing.assert_close(scores, raw / (raw.mean() * 6))
    constant = bank.norm.clone()
    bank.scores(2 * found, drawn, 0.5)
    assert torch.equal(bank.norm, constant)
    before = bank.held.clone()
    bank.remember(found, torch.tensor([0, 1]), 0.5)
    torch.testing.assert_close(bank.held[:2].norm(dim=1), torch.ones(2))
    assert torch.equal(bank.held[2:], before[2:])


def made(model, **settings: int) -> Distillation:
    torch.manual_seed(0)
    return Distillation(
        method=CRD(size=8, **settings),
        selector=All(),
        supervised=0.5,
        answers=ANSWERS,
        pair=Pair(model, TEACHER, DATA),
    )


def test_the_banks_have_a_place_a_row_and_a_training_goes_on_from_them():
    model = net(DATA)
    objective = made(model)
    held = {name: value.clone() for name, value in objective.state_dict().items()}
    assert held["method.contrast.students.held"].shape == (len(DATA), 8)
    fit(model, objective, DATA, DATA, FitSettings(epochs=2, batch=8))
    after = objective.state_dict()
    assert all(not torch.equal(held[name], after[name]) for name in held)


def test_three_batches_are_those_of_the_authors_memory():
    """Scores of either side against the other's bank, constants of the first batch, banks moved
    half way to what was seen and back onto the sphere.
    """
    torch.manual_seed(0)
    method, told = CRD(size=6, negatives=9), Outputs(torch.zeros(8, 3))
    method.enter(Pair(net(DATA), TEACHER, DATA).classroom(ANSWERS, None))
    mine, its = torch.randn(24, 5), torch.randn(24, 7)
    method.build(
        replace(told, features={"penultimate": mine}), replace(told, features={"penultimate": its})
    )
    contrast = method.contrast
    assert contrast is not None
    banks = [contrast.students.held.clone(), contrast.teachers.held.clone()]
    constants = [0.0, 0.0]
    for step in range(3):
        seen = torch.randperm(24)[:8]
        torch.manual_seed(step)
        drawn = torch.cat([seen[:, None], torch.randint(24, (8, 9))], dim=1)
        torch.manual_seed(step)
        batch = replace(rows(8), rows=seen)
        parts = (replace(told, features={"penultimate": side[seen]}) for side in (mine, its))
        loss = method(*parts, batch)
        own = [contrast.student(mine[seen]), contrast.teacher(its[seen])]
        own = [side / side.square().sum(dim=1, keepdim=True).sqrt() for side in own]
        raw = [
            (bank[drawn] @ side[:, :, None]).squeeze(2).div(0.07).exp()
            for bank, side in zip(reversed(banks), own, strict=True)
        ]
        constants = [at or of.mean().item() * 24 for at, of in zip(constants, raw, strict=True)]
        wanted = sum(contrast_loss(of / at, 24) for of, at in zip(raw, constants, strict=True))
        torch.testing.assert_close(loss, wanted)
        method.after_step(net(DATA))
        for bank, side in zip(banks, own, strict=True):
            moved = (bank[seen] + side.detach()) / 2
            bank[seen] = moved / moved.norm(dim=1, keepdim=True)
        torch.testing.assert_close(contrast.students.held, banks[0])
        torch.testing.assert_close(contrast.teachers.held, banks[1])


def test_no_more_rows_are_drawn_than_there_are():
    assert CRD(negatives=16384)._drawn(torch.arange(3), rows=24).shape == (3, 25)
    assert CRD(negatives=5)._drawn(torch.arange(3), rows=24).shape == (3, 6)


def test_features_that_are_all_nothing_stay_finite():
    objective = made(net(DATA))
    method = objective.method
    zero = Outputs(ANSWERS[:2], {"penultimate": torch.zeros(2, 16, requires_grad=True)})
    loss = method(zero, Outputs(ANSWERS[:2], {"penultimate": torch.zeros(2, 16)}), rows(2))
    loss.sum().backward()
    assert torch.isfinite(loss).all()


def test_a_black_box_is_refused_and_so_is_a_method_without_its_banks():
    assert taught(CRD(size=4)).item() > 0
    with pytest.raises(UsageError, match="'crd' needs features, which 'stored answers'"):
        taught(CRD(), live=False)
    nothing = Outputs(ANSWERS[:2], {"penultimate": torch.zeros(2, 4)})
    with pytest.raises(UsageError, match="the banks of 'crd' were not made"):
        CRD()(nothing, nothing, rows(2))
