import pytest
import torch
from data.views.seen import SERIES, look, rows

from stillhouse.data.views.scale import Scale


def test_each_channel_of_each_series_has_one_factor() -> None:
    factor = look(Scale(share=0.3), SERIES) / rows(SERIES)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-4, atol=1e-4)
    assert float(factor[:, 0].std()) == pytest.approx(0.3, rel=0.15)
    assert (look(Scale(share=5.0), SERIES) >= 0).all()
