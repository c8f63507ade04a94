"""Other ways of laying a model out take the same steps up to rounding."""

import copy
from pathlib import Path

import pytest
import torch
from training.killed_fleet import IMAGES, NETS, TABLE, members, shaped

from stillhouse.training.fit import fit
from stillhouse.training.pace import Pace, paces


@pytest.mark.parametrize(("pace", "limit"), [("channels_last", 1e-5), ("bf16", 0.05)])
def test_an_image_net_learns_the_same_at_every_pace(pace: Pace, limit: float) -> None:
    data = shaped(IMAGES)
    own = members(NETS[3], data, torch.float32, steps=20)[1]
    plain = copy.deepcopy(own)
    one = fit(plain.model, plain.objective, data, data, plain.settings).model
    other = fit(own.model, own.objective, data, data, own.settings, pace=pace).model
    for name, held in one.state_dict().items():
        its = other.state_dict()[name]
        assert its.dtype == held.dtype
        torch.testing.assert_close(its, held, rtol=limit, atol=limit)
    assert pace in paces(own.model, own.objective)


def test_a_net_without_convolutions_over_images_has_one_pace() -> None:
    own = members(NETS[0], TABLE, torch.float32)[0]
    assert paces(own.model, own.objective) == ("plain",)


def test_a_training_in_two_parts_is_the_training_in_one(tmp_path: Path) -> None:
    own = members(NETS[1], TABLE, torch.float32, ema=0.9)[2]
    whole, place = copy.deepcopy(own), tmp_path / "half.safetensors"
    half = copy.deepcopy(own)
    first = fit(
        half.model, half.objective, TABLE, TABLE, half.settings, checkpoint=place, until=0.3
    )
    assert first.steps == 15
    second = fit(own.model, own.objective, TABLE, TABLE, own.settings, checkpoint=place)
    one = fit(whole.model, whole.objective, TABLE, TABLE, whole.settings)
    for name, held in one.model.state_dict().items():
        assert torch.equal(held, second.model.state_dict()[name])
    assert second.history == one.history
