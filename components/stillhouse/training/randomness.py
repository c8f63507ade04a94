"""The global generators that a net, a loss or a plugin may draw from: torch's (an accelerator has
one of its own), numpy's and Python's, seeded for a training and kept with it.
"""

import contextlib
import random
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from stillhouse.models.device import accelerator


@contextlib.contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Let everything inside draw from our seed, and give the caller's random states back
    afterwards.
    """
    device = accelerator()
    beside = [] if device is None else [torch.accelerator.current_device_index()]
    with torch.random.fork_rng(beside, device_type=device.type if device else "cuda"):
        before, before_numpy = random.getstate(), np.random.get_state()
        _seed_torch(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(before_numpy)


def _seed_torch(seed: int) -> None:
    """Without another device, torch would still note who asked, a stack of lines, for a device
    that never comes: ten times the price of the seed.
    """
    if accelerator() is None:
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def random_state() -> dict[str, Tensor]:
    """Return the states as tensors; a normal number that a generator drew ahead is part of its
    state.
    """
    version, words, ahead = random.getstate()
    kept = np.random.get_state(legacy=False)
    numbers = [kept["state"]["pos"], kept["has_gauss"], kept["gauss"]]
    return {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python_ahead": torch.tensor([] if ahead is None else [ahead], dtype=torch.float64),
        "numpy": torch.from_numpy(kept["state"]["key"].astype(np.int64)),
        "numpy_ahead": torch.tensor([float(number) for number in numbers], dtype=torch.float64),
        **_beside(),
    }


def _beside() -> dict[str, Tensor]:
    device = accelerator()
    return {} if device is None else {device.type: torch.get_device_module(device).get_rng_state()}


def set_random_state(state: Mapping[str, Tensor]) -> None:
    """Put back what `random_state` returned; of another machine's accelerator there is nothing to
    put back.
    """
    torch.set_rng_state(state["torch"])
    for name in _beside().keys() & state.keys():
        torch.get_device_module(name).set_rng_state(state[name])
    version, *words = state["python"].tolist()
    ahead = state["python_ahead"].tolist()
    random.setstate((version, tuple(words), ahead[0] if ahead else None))
    position, has_ahead, ahead_numpy = state["numpy_ahead"].tolist()
    np.random.set_state(
        (
            "MT19937",
            state["numpy"].numpy().astype(np.uint32),
            int(position),
            int(has_ahead),
            ahead_numpy,
        )
    )
