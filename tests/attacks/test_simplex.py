import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.attacks.simplex import into_l1


def halved(change, low, high, epsilon):
    """The same by halving λ until it is found."""
    most = torch.where(change > 0, high, -low).clamp_min(0)
    floor, ceiling = torch.zeros(len(change), 1).double(), change.abs().amax(1, keepdim=True)

    def left(shrink):
        return (change.abs() - shrink).clamp_min(0).minimum(most)

    for _ in range(80):
        middle = (floor + ceiling) / 2
        large = left(middle).sum(1, keepdim=True) > epsilon
        floor, ceiling = torch.where(large, middle, floor), torch.where(large, ceiling, middle)
    fits = left(torch.zeros_like(floor)).sum(1, keepdim=True) <= epsilon
    return left(torch.where(fits, 0.0, ceiling)) * change.sign()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 12), st.booleans())
def test_the_nearest_point_is_the_one_that_halving_finds(seed, epsilon, boxed):
    draw = torch.Generator().manual_seed(seed)
    change = 3 * torch.randn(6, 9, generator=draw, dtype=torch.float64)
    change[:, :2] = 0
    low, high = (torch.rand(6, 9, generator=draw, dtype=torch.float64) for _ in range(2))
    if not boxed:
        low, high = low + torch.inf, high + torch.inf
    found = into_l1(change, -low, high, epsilon)
    torch.testing.assert_close(found, halved(change, -low, high, epsilon), atol=1e-6, rtol=1e-6)
    assert (found.abs().sum(1) <= epsilon * (1 + 1e-9)).all()
