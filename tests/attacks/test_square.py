import pytest
import torch
from attacks.linear import OPEN, linear
from torch import nn

from stillhouse.attacks.frame import Frame
from stillhouse.attacks.pattern import bump, bumps, tiles
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.square import Square, moved, shares
from stillhouse.attacks.threat import Threat


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Cell(nn.Module):
    """Wrong only where one cell of a row has risen."""

    def __init__(self, place, needed):
        super().__init__()
        self.place, self.needed = place, 0.5 + needed

    def forward(self, inputs):
        cell = inputs[(slice(None), *self.place)]
        return torch.stack([torch.full_like(cell, self.needed), cell], dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("place", [(0, 0, 0), (0, 7, 8), (1, 7, 0), (1, 0, 8)])
def test_windows_reach_every_corner_of_an_image(place, norm):
    inputs, targets = torch.full((3, 2, 8, 9), 0.5), torch.zeros(3, dtype=torch.int64)
    # A cell's share of an l2 ball that is spread evenly over 144 cells is 0.033; a window is never
    # smaller than 3.
    epsilon, needed = (0.1, 0.05) if norm == "linf" else (0.4, 0.01)
    found = run_attack(
        Square(queries=600),
        Cell(place, needed),
        inputs,
        targets,
        threat=Threat(norm, epsilon, Space.box()),
        generator=generator(),
    )
    assert not found.still_correct.any()


@pytest.mark.parametrize(
    ("shape", "place"),
    [((7,), (6,)), ((7,), (0,)), ((6, 3), (5, 2)), ((6, 3), (0, 0)), ((1,), (0,))],
)
def test_series_and_tables_are_searched_to_both_ends(shape, place):
    inputs, targets = torch.full((2, *shape), 0.5), torch.zeros(2, dtype=torch.int64)
    for norm in ("linf", "l2"):
        found = run_attack(
            Square(queries=100),
            Cell(place, 0.01),
            inputs,
            targets,
            threat=Threat(norm, 0.1, Space.box()),
            generator=generator(),
        )
        assert not found.still_correct.any(), norm


def test_every_place_in_which_a_window_fits_is_drawn():
    frame, draw = Frame((1, 4, 5), (1, 4, 5)), generator()
    seen = {
        (down.start, across.start) for down, across in (frame.window(2, draw) for _ in range(400))
    }
    assert seen == {(row, column) for row in range(3) for column in range(4)}


def test_shares_of_the_places_reach_them_all():
    frame = Frame((1, 4, 5), (1, 4, 5))
    seen = [frame.placed(2, (down, across)) for down in (0.0, 0.4, 0.9999) for across in (0.3, 1.0)]
    starts = [(down.start, across.start) for down, across in seen]
    assert starts == [(0, 1), (0, 3), (1, 1), (1, 3), (2, 1), (2, 3)]
    assert frame.placed(9, (0.5, 0.5)) == (slice(0, 4), slice(0, 5))


def test_rows_survive_being_framed():
    for shape in ((3, 4, 5), (6, 2), (7,)):
        rows = torch.rand(2, *shape)
        frame = Frame.of(rows)
        assert torch.equal(frame.take(frame.put(rows)), rows)
    assert Frame.of(torch.rand(2, 6, 3)).size == (3, 6, 1)


def test_windows_shrink_on_the_published_schedule():
    found = shares(0.8, 10_000)
    assert [found[at] for at in (0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001)] == [
        0.8 / 2**k for k in range(10)
    ]
    assert shares(0.8, 1) == []


def test_the_pattern_is_a_bump_beside_its_negative():
    assert float(bump(3, 3)[1, 1]) == float(bump(3, 3).max())
    for height, width, turned in (
        (5, 5, False),
        (5, 5, True),
        (3, 1, False),
        (1, 1, False),
        (1, 1, True),
    ):
        made = bumps(height, width, turned=turned)
        assert made.shape == (height, width)
        torch.testing.assert_close(made.norm(), torch.tensor(1.0))
    assert torch.equal(bumps(5, 5, turned=True), bumps(5, 5).T)
    assert tiles((8, 9)).shape == (8, 9)
    assert (tiles((8, 9))[-1] != 0).all()


def test_moving_a_windows_share_keeps_the_perturbation_in_the_ball():
    change = torch.randn(4, 2, 6, 6, generator=generator())
    change = change / change.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * 0.9
    to, away = (slice(0, 3), slice(0, 3)), (slice(3, 6), slice(2, 5))
    found = moved(change, to, away, bumps(3, 3).expand(4, 2, 3, 3), 1.0)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.ones(4))
    assert (found[:, :, 3:6, 2:5] == 0).all()
    assert torch.equal(found[:, :, :3, 3:][..., 2:], change[:, :, :3, 3:][..., 2:])


def test_it_asks_no_more_than_it_may_and_never_for_gradients():
    asked = []

    class Counting(nn.Module):
        def forward(self, inputs):
            assert not torch.is_grad_enabled()
            asked.append(len(inputs))
            return inner(inputs)

    inner, inputs = linear(torch.ones(6)), torch.full((2, 6), 9.0)
    Square(queries=30).perturb(
        Counting(),
        inputs,
        torch.tensor([1, 1]),
        threat=Threat("linf", 0.1, OPEN),
        generator=generator(),
    )
    assert len(asked) == 31  # the clean rows, too; no query is spent on what is known already
    assert Square.needs == {"logits"}
