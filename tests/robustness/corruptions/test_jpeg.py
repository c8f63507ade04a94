import io

import pytest
import torch

from stillhouse.robustness.corruptions.jpeg import cosines, steps, stored


def test_the_cosines_are_orthonormal():
    torch.testing.assert_close(cosines() @ cosines().T, torch.eye(8), atol=1e-6, rtol=0)


def test_the_table_is_scaled_as_the_usual_encoder_does():
    assert steps(50)[0, 0] == 16
    assert steps(25)[0, 0] == 32
    assert steps(75)[0, :3].tolist() == [8.0, 6.0, 5.0]
    assert steps(100).max() == 1


def test_it_agrees_with_an_encoder_on_grey_images():
    image = pytest.importorskip("PIL.Image")
    grey = (torch.rand(24, 32, generator=torch.Generator().manual_seed(0)) * 255).round()
    for quality in (80, 25):
        file = io.BytesIO()
        image.fromarray(grey.to(torch.uint8).numpy()).save(file, "JPEG", quality=quality)
        theirs = torch.tensor(list(image.open(file).tobytes())).view(24, 32)
        ours = stored(grey[None, None] / 255, quality)[0, 0] * 255
        # Its whole-number transform rounds a few coefficients the other way, each of which is seen
        # in all 64 pixels of a block.
        assert (ours - theirs).abs().median() < 0.5
        assert (ours - theirs).abs().mean() < 0.3 * (ours - grey).abs().mean()


def test_an_image_smaller_than_a_block_keeps_its_size():
    assert stored(torch.rand(2, 3, 5, 9), 50).shape == (2, 3, 5, 9)
