"""Find early, middle, late and penultimate features of a model that nobody described: try it on a
few rows, and see what ran in which order.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stillhouse.errors import UsageError, nearest
from stillhouse.models.taps import taps_of

STAGES = ("early", "middle", "late", "penultimate")
WRAPPED = "net."  # a Classifier holds its net under this name; a path may leave it out


@dataclass(frozen=True)
class _Call:
    """One run of one module: its path, and the one tensor that went in (None if not one) and came
    out.
    """

    path: str
    module: nn.Module
    inputs: Tensor | None
    output: Tensor

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def learned(self) -> bool:
        return next(self.module.parameters(), None) is not None

    @property
    def leaf(self) -> bool:
        return next(self.module.children(), None) is None


def find(model: nn.Module, inputs: Tensor, names: Iterable[str]) -> dict[str, str]:
    """Return the module path that each name stands for.

    `penultimate` is what the last layer is given. `early`, `middle` and `late` end the first,
    second and last third of the blocks before the last layer; blocks are the parts of the model
    that hold weights, each with the norm and the activation behind it. With one block they are all
    the same.

    Args:
        model: From inputs to logits [B, C].
        inputs: A few rows [B, *shape].
        names: Stages, or module paths, which stand for themselves; a path may leave out the `net.`
            of a Classifier.

    Raises:
        UsageError: The model has no such path (its taps are listed), or no stage, as it is one
            layer deep.
    """
    known = set(taps_of(model))
    wanted, found = tuple(names), {}
    staged = (
        _stages(model, inputs)
        if any(name in STAGES and name not in known for name in wanted)
        else {}
    )
    for name in wanted:
        path = next(
            (tap for tap in (name, WRAPPED + name, staged.get(name, "")) if tap in known), None
        )
        if path is None and name in STAGES:
            raise UsageError(
                f"the model has no stage '{name}': nothing lies before its last layer.",
                fix=f"Name a module path: {', '.join(taps_of(model))}.",
            )
        if path is None:
            raise UsageError(
                f"the model has no tap '{name}'.", fix=nearest(name, [*taps_of(model), *STAGES])
            )
        found[name] = path
    return found


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients, and every module's own mode back
    afterwards.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def _stages(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    calls, logits = _calls(model, inputs)
    leaves = [call for call in calls if call.leaf and call.learned]
    heads = [call for call in leaves if call.output.data_ptr() == logits.data_ptr()] or leaves
    if not heads:
        return {}
    head = heads[-1]
    before = calls[: calls.index(head)]
    given = [
        call.path
        for call in before
        if head.inputs is not None
        and call.output.data_ptr() == head.inputs.data_ptr()
        and call.output.numel()
    ]
    behind = [call.path for call in before if call.leaf and call.output.ndim > 1]
    last = (given or behind)[-1:]
    found = dict(zip(("penultimate",), last, strict=False))
    blocks = _blocks([*before, *calls[calls.index(head) + 1 :]], head.path)
    if blocks:
        found |= {
            stage: blocks[math.ceil(third * len(blocks) / 3) - 1]
            for third, stage in enumerate(STAGES[:3], start=1)
        }
    return found


def _calls(model: nn.Module, inputs: Tensor) -> tuple[list[_Call], Tensor]:
    """Return what ran, in the order of its ends, without modules that ran twice: nobody could say
    which of the two is meant.
    """
    seen: list[_Call] = []
    times: dict[str, int] = {}

    def hook(path: str, module: nn.Module, given: tuple[object, ...], output: object) -> None:
        times[path] = times.get(path, 0) + 1
        if isinstance(output, Tensor):
            seen.append(
                _Call(
                    path,
                    module,
                    given[0] if given and isinstance(given[0], Tensor) else None,
                    output,
                )
            )

    handles = [
        module.register_forward_hook(partial(hook, path))
        for path, module in model.named_modules()
        if path
    ]
    try:
        with evaluating(model):
            logits = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [call for call in seen if times[call.path] == 1], logits


def _blocks(calls: list[_Call], head: str) -> list[str]:
    """Return the tap that ends each block, in order; a model that is one block is opened, until
    there are several or nothing is left to open.
    """
    trunk = ""
    while True:
        blocks: list[tuple[_Call, _Call]] = []  # where it begins and ends
        for call in (call for call in calls if call.parent == trunk):
            if (
                blocks
                and call.output.shape == blocks[-1][1].output.shape
                and (not call.learned or _norm(call.module))
            ):
                blocks[-1] = (blocks[-1][0], call)
            elif call.learned:
                blocks.append((call, call))
        without = [block for block in blocks if not f"{head}.".startswith(f"{block[0].path}.")]
        blocks = without or blocks
        opened = blocks[0][0].path if blocks else ""
        if len(blocks) != 1 or not any(call.parent == opened for call in calls):
            return [end.path for _, end in blocks]
        trunk = opened


def _norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm)
