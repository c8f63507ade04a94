import torch

from stillhouse.evaluation.clusters import centres, nearest


def blobs():
    generator = torch.Generator().manual_seed(0)
    middles = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    return torch.cat([m + torch.randn(40, 2, generator=generator) for m in middles])


def test_rows_that_lie_together_come_into_one_cluster_and_always_the_same():
    features = blobs()
    at = nearest(features, centres(features, 3))
    assert [len(at[start : start + 40].unique()) for start in (0, 40, 80)] == [1, 1, 1]
    assert len(at.unique()) == 3
    assert torch.equal(centres(features, 3), centres(features, 3))


def test_rows_that_are_all_alike_are_one_cluster():
    assert len(centres(torch.ones(30, 4))) == 1
    assert len(centres(torch.arange(3.0)[:, None], 10)) == 3
