"""A device that is not the CPU, for machines that have none: torch takes `away` for an accelerator,
its tensors compute on hidden ones, and an operation that is given tensors of two devices is
refused, as a GPU would refuse it.

Torch's own way for backends written in Python (`PrivateUse1`); to be imported in a process of its
own, as torch cannot forget a device.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map

NAME = "away"
aten = torch.ops.aten
# What a GPU takes from the CPU as well: copies, and the places of an index.
MIXES = {
    aten.copy_.default,
    aten._to_copy.default,
    aten.index.Tensor,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}


class Module:
    """What torch asks of `torch.away`; what is drawn there is drawn from a generator of its own."""

    def __init__(self) -> None:
        self.state = torch.Generator().manual_seed(0).get_state()

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        self.state = torch.Generator().manual_seed(seed + 1).get_state()

    def get_rng_state(self, device: object = None) -> Tensor:
        return self.state.clone()

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        self.state = state.clone()


MODULE = Module()
backend_registration._setup_privateuseone_for_python_backend(NAME, MODULE)
DEVICE = torch.device(NAME, 0)


class Away(Tensor):
    """A tensor there."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> "Away":
        made = Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=DEVICE,
        )
        made.raw = raw
        return made

    def __repr__(self) -> str:
        return f"Away({self.raw!r})"

    @classmethod
    def __torch_dispatch__(
        cls, op: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return computed(op, args, kwargs or {})


def computed(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do an operation there."""
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    away = [each for each in given if isinstance(each, Away)]
    if away and op not in MIXES and any(each.ndim and not isinstance(each, Away) for each in given):
        told = ", ".join(f"{list(each.shape)} on {each.device}" for each in given)
        raise RuntimeError(f"{op} was given tensors of two devices: {told}")
    wanted = kwargs.get("device")
    stays = bool(away) if wanted is None else torch.device(wanted).type == NAME
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    raw_args, raw_kwargs = tree_map(
        lambda each: each.raw if isinstance(each, Away) else each, (args, kwargs)
    )
    found = _drawn(op, raw_args, raw_kwargs) if stays else op(*raw_args, **raw_kwargs)
    if not stays:  # what comes back is a copy
        return tree_map(lambda each: each.clone() if isinstance(each, Tensor) else each, found)
    held = {id(each.raw): each for each in away}  # an operation in place returns what it was given
    return tree_map(
        lambda each: (
            held[id(each)] if id(each) in held else Away(each) if isinstance(each, Tensor) else each
        ),
        found,
    )


def _drawn(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if torch.Tag.nondeterministic_seeded not in op.tags or kwargs.get("generator") is not None:
        return op(*args, **kwargs)
    before = torch.get_rng_state()
    torch.set_rng_state(MODULE.state)
    found = op(*args, **kwargs)
    MODULE.state = torch.get_rng_state()
    torch.set_rng_state(before)
    return found


LIBRARY = torch.library.Library("_", "IMPL")
LIBRARY.fallback(lambda op, *args, **kwargs: computed(op, args, kwargs), "PrivateUse1")
