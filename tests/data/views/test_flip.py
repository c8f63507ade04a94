import torch
from data.views.seen import IMAGE, look, rows

from stillhouse.data.views.flip import Flip


def kinds(view: Flip) -> list[int]:
    plain, found = rows(IMAGE), look(view, IMAGE)
    ways = [plain, plain.flip(3), plain.flip(2), plain.flip(2, 3)]
    counts = [int((found == way).flatten(1).all(1).sum()) for way in ways]
    assert sum(counts) == len(plain)
    return counts


def test_about_half_the_images_are_mirrored() -> None:
    counts = kinds(Flip())
    assert counts[2:] == [0, 0]
    assert 70 < counts[1] < 130


def test_upside_down_only_if_asked() -> None:
    assert min(kinds(Flip(vertical=True))) > 25
    assert torch.equal(look(Flip(), IMAGE, seed=3), look(Flip(), IMAGE, seed=3))
