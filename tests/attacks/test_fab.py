import pytest
import torch
from attacks.linear import OPEN, linear, rows_at
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.attacks.fab import FAB, fab
from stillhouse.attacks.hyperplane import nearest, towards
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat


def box(seed, columns=5, rows=6):
    draw = torch.Generator().manual_seed(seed)
    at = torch.rand(rows, columns, generator=draw)
    return at, torch.randn(rows, columns, generator=draw), torch.randn(rows, generator=draw)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["linf", "l2"]))
def test_the_projection_reaches_the_plane_inside_the_box_by_the_shortest_way(seed, norm):
    at, normal, rise = box(seed)
    low, high = torch.zeros_like(at), torch.ones_like(at)
    found = towards(at, normal, rise, low, high, norm)
    assert ((found >= 0) & (found <= 1)).all()
    most = (
        torch.where(
            rise[:, None] > 0,
            (normal * (1 - at)).clamp_min(-normal * at),
            (normal * -at).minimum(normal * (1 - at)),
        )
        .double()
        .sum(1)
    )
    wanted = torch.where(rise > 0, rise.double().minimum(most), rise.double().maximum(most))
    risen = ((found - at.double()) * normal.double()).sum(1)
    torch.testing.assert_close(risen, wanted, atol=1e-6, rtol=0)
    change = found - at.double()
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    for other in range(5):  # nothing else in the box that rises as far is nearer
        draw = torch.Generator().manual_seed(seed + other)
        step = 0.1 * torch.randn(at.shape, generator=draw).double()
        tried = (found + step).clamp(0, 1)
        far = (
            ((tried - at.double()).abs().amax(1))
            if norm == "linf"
            else (tried - at.double()).norm(dim=1)
        )
        reaches = ((tried - at.double()) * normal.double()).sum(
            1
        ) * rise.sign() >= risen * rise.sign() + 1e-6
        assert (far[reaches] >= size[reaches] - 1e-6).all()


def test_without_bounds_it_is_the_textbook_projection():
    at, normal, rise = box(1)
    free = torch.full_like(at, torch.inf)
    found = towards(at, normal, rise, -free, free, "l2")
    torch.testing.assert_close(
        found,
        (at + normal * (rise / normal.square().sum(1))[:, None]).double(),
        atol=1e-5,
        rtol=1e-5,
    )
    found = towards(at, normal, rise, -free, free, "linf")
    torch.testing.assert_close(
        found,
        (at + normal.sign() * (rise / normal.abs().sum(1))[:, None]).double(),
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_plane_without_a_normal_is_never_the_nearest():
    normals = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.1, 0.0]]])
    assert nearest(torch.tensor([[0.0, 1.0, 1.0]]), normals, "l2").tolist() == [1]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_it_finds_lies_next_to_the_boundary(norm):
    weights, distances = torch.tensor([1.0, -2.0, 0.5, 4.0]), torch.tensor([0.3, -0.7])
    inputs, targets = rows_at(distances, weights, norm)
    threat = Threat(norm, 1.0, OPEN)
    found = fab(linear(weights), inputs, targets, threat, torch.Generator())
    torch.testing.assert_close(threat.size(found, inputs), distances.abs(), rtol=0.06, atol=0)


@pytest.mark.parametrize("targeted", [False, True])
def test_inside_a_box_it_reaches_the_closed_form_worst_case(targeted):
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs = torch.rand(100, 4, generator=torch.Generator().manual_seed(0))
    model = linear(weights, bias=-1.5)
    targets = model(inputs).argmax(dim=1)
    toward = torch.where(targets[:, None] == 1, -weights.sign(), weights.sign())
    corner = (inputs + 0.15 * toward).clamp(0, 1)
    clear = (model(corner)[:, 1].abs() > 0.02).logical_and(
        model(inputs)[:, 1].abs() > 0.02
    )  # it stops a hair behind the boundary
    found = run_attack(
        FAB(targeted=targeted),
        model,
        inputs,
        targets,
        threat=Threat("linf", 0.15, Space.box()),
        generator=torch.Generator(),
    )
    expected = model(corner).argmax(dim=1) == targets
    assert torch.equal(found.still_correct[clear], expected[clear])
    assert 0 < int(expected[clear].sum()) < int(clear.sum())
