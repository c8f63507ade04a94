import torch

from stillhouse.evaluation.unlike import mixed, noise


def rows():
    first = torch.linspace(0, 1, 100)
    inputs = torch.stack([first, 5 + 10 * first], dim=1)
    inputs[3, 0] = torch.nan
    return inputs


def test_noise_stays_where_values_have_been_and_breaks_what_belongs_together():
    inputs = rows()
    drawn = noise(inputs, torch.Generator().manual_seed(0))
    assert drawn.shape == inputs.shape
    assert bool((drawn[:, 1] >= 5).all() & (drawn[:, 1] <= 15).all())
    assert abs(float(torch.corrcoef(drawn.T)[0, 1])) < 0.4
    assert torch.equal(drawn, noise(inputs, torch.Generator().manual_seed(0)))


def test_mixed_rows_have_only_values_that_there_are():
    inputs = rows()
    drawn = mixed(inputs, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[:, 1].sort().values, inputs[:, 1].sort().values)
    assert not torch.equal(drawn[:, 1], inputs[:, 1])
