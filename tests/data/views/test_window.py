import torch
from data.views.seen import SERIES, look, rows

from stillhouse.data.views.window import Window


def test_the_whole_series_is_the_series() -> None:
    torch.testing.assert_close(look(Window(least=1.0), SERIES), rows(SERIES), atol=1e-4, rtol=0)


def test_a_line_stays_a_line_over_a_part_of_its_range() -> None:
    line = torch.linspace(0, 1, 20).view(1, 20, 1).expand(50, 20, 3)
    found = Window(least=0.5)(line, SERIES, torch.Generator().manual_seed(0))
    step = found.diff(dim=1)
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=1e-5, rtol=1e-3)
    length = found[:, -1, 0] - found[:, 0, 0]
    assert 0.5 - 1e-5 <= length.min() < 0.6
    assert 0.9 < length.max() <= 1 + 1e-5
