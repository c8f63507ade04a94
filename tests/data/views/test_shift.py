import torch
from data.views.seen import IMAGE, look, rows

from stillhouse.data.views.shift import Shift


def test_an_image_is_moved_by_at_most_that_many_pixels_and_its_edge_repeated() -> None:
    plain, found = rows(IMAGE), look(Shift(pixels=2), IMAGE)
    seen = set()
    for before, after in zip(plain, found, strict=True):
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(
                before[:, (torch.arange(6) + down).clamp(0, 5)][
                    :, :, (torch.arange(5) + right).clamp(0, 4)
                ],
                after,
            )
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 25
