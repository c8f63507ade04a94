import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.defocus_blur import DefocusBlur, disk


def test_the_kernel_is_a_disk_of_sum_one():
    found = disk(2.0)[0]
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    assert torch.equal(found, found.T)
    middle = len(found) // 2
    assert found[middle, middle] == found[middle, middle + 1] == found[middle, middle].max()
    assert found[0, 0] == 0


def test_a_flat_image_stays_flat_to_its_edges_and_a_point_spreads_evenly():
    found = DefocusBlur().apply(
        torch.full((2, 3, 8, 9), 0.7), severity=5, space=Space.box(), generator=torch.Generator()
    )
    torch.testing.assert_close(found, torch.full((2, 3, 8, 9), 0.7))
    point = torch.zeros(1, 1, 9, 9)
    point[0, 0, 4, 4] = 1
    found = DefocusBlur().apply(point, severity=5, space=Space.box(), generator=torch.Generator())
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    assert found[0, 0, 4, 4] == found[0, 0, 4, 5] == found[0, 0, 3, 4]
