import torch
from data.views.seen import SERIES, look, rows

from stillhouse.data.views.blend import Blend, _nearest


def test_every_value_lies_between_a_series_and_its_nearest_neighbour() -> None:
    plain, found = rows(SERIES), look(Blend(), SERIES)
    near = plain[_nearest(plain)]
    low, high = torch.minimum(plain, near), torch.maximum(plain, near)
    assert ((found >= low - 1e-6) & (found <= high + 1e-6)).all()
    assert not torch.allclose(found, plain, atol=0.05)


def test_the_weight_is_a_broken_line_through_its_knots() -> None:
    plain, found = rows(SERIES), look(Blend(knots=1), SERIES)
    weight = (found - plain) / (plain[_nearest(plain)] - plain)
    bend = (weight[:, 2:] - 2 * weight[:, 1:-1] + weight[:, :-2]).abs()
    assert float(bend.median()) < 1e-4  # one line from end to end
    assert not torch.allclose(weight[..., 0], weight[..., 1], atol=0.1)  # each channel its own


def test_the_nearest_is_nearest_in_deviations_of_each_channel_and_never_itself() -> None:
    small, large = torch.tensor([0.0, 1.0, 5.0]), torch.tensor([0.0, 9000.0, 100.0])
    series = torch.stack([small, large], dim=1)[:, None, :].repeat(1, 4, 1)
    assert _nearest(series).tolist() == [1, 0, 0]  # in raw units it would be [2, 2, 0]
    assert (_nearest(rows(SERIES)) != torch.arange(200)).all()


def test_a_missing_value_is_the_series_own() -> None:
    plain = rows(SERIES, 20)
    plain[3, 2, 1] = torch.nan
    found = Blend()(plain, SERIES, torch.Generator().manual_seed(0))
    assert found.isnan().sum() == 1
    assert found[3, 2, 1].isnan()


def test_no_weight_is_no_change() -> None:
    assert not Blend.keeps_label
    torch.testing.assert_close(look(Blend(most=0.0), SERIES), rows(SERIES))
