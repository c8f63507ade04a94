import io

import numpy as np
import pytest
import torch

from stillhouse.receipt import png


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_reads_back_as_the_pixels_it_was_made_of(channels):
    image = pytest.importorskip("PIL.Image")
    pixels = torch.rand(channels, 5, 7)
    back = np.asarray(image.open(io.BytesIO(png.encode(pixels)))).reshape(5, 7, channels)
    assert np.array_equal(back, (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def test_what_is_out_of_range_is_cut_and_the_bytes_are_always_the_same():
    wild = torch.tensor([[[float("nan"), -1.0, 2.0]]])
    assert png.encode(wild) == png.encode(torch.tensor([[[0.0, 0.0, 1.0]]]))


def test_a_large_picture_is_averaged_down():
    assert len(png.data_uri(torch.zeros(1, 500, 200))) < 400
    assert png.data_uri(torch.zeros(1, 64, 64)) != png.data_uri(torch.zeros(1, 63, 64))


def test_only_grey_and_colour_pictures_can_be_drawn():
    assert png.drawable((1, 8, 8))
    assert png.drawable((3, 8, 8))
    assert not png.drawable((2, 8, 8))
    assert not png.drawable((64,))
