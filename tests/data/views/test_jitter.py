import pytest
from data.views.seen import SERIES, look, rows

from stillhouse.data.views.jitter import Jitter


def test_noise_is_a_share_of_each_channel_s_spread() -> None:
    plain = rows(SERIES)
    noise = look(Jitter(share=0.2), SERIES) - plain
    assert float(noise.std() / plain.std()) == pytest.approx(0.2, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert (look(Jitter(share=0.0), SERIES) == plain).all()
