"""A training on disk: one file that is always whole, from which the same bits come out as if
nothing had happened.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stillhouse import workspace
from stillhouse.errors import SourceError
from stillhouse.failpoints import failpoint

Tensors = dict[str, Tensor]


def inside(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """Return the tensors under `prefix/`, without it."""
    return {
        name.removeprefix(f"{prefix}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors with `prefix/` before each name."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def moments(optimizer: Optimizer) -> Tensors:
    """Return what an optimiser remembers of each weight, as `number/name`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what `moments` returned."""
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def save(path: Path, tensors: Mapping[str, Tensor], identity: str) -> None:
    """Write a checkpoint; the file shows the old one or all of the new one.

    Raises:
        OSError: The disk is full or broken; the old checkpoint is left as it was.
    """
    failpoint("training.before_checkpoint")
    marked = {
        **tensors,
        f"identity/{identity}": torch.zeros(1),
    }  # a name, as a metadata text cannot be read back without parsing the header
    workspace.write_atomic(
        path, workspace.dump_tensors({**marked, f"digest/{_digest(marked)}": torch.zeros(1)})
    )
    failpoint("training.after_checkpoint")


def load(path: Path | None, identity: str) -> tuple[Tensors, str]:
    """Return a checkpoint's tensors, none if there is none of this training, and a remark for the
    reader where one was passed over.

    A training always can start anew and gives the same bits, so a broken file or one of another
    training costs time, never a result.
    """
    if path is None or not path.is_file():
        return {}, ""
    try:
        tensors = workspace.load_tensors(path)
    except SourceError as error:
        return {}, f"starting anew: {error}"
    digests = [name for name in tensors if name.startswith("digest/")]
    sealed = {name: tensor for name, tensor in tensors.items() if name not in digests}
    if digests != [f"digest/{_digest(sealed)}"]:
        return {}, f"starting anew: {path.name} differs from its digest"
    if sealed.pop(f"identity/{identity}", None) is None:
        return {}, f"starting anew: {path.name} is of another training"
    return sealed, ""


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return workspace.sha256_bytes(workspace.dump_tensors(tensors))


def identity_of(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], words: str) -> str:
    """Return a digest of all that a training depends on, taken before its first step.

    Args:
        modules: Model and objective: their classes, plain settings, parameters and buffers count.
        tensors: The data.
        words: The settings.
    """
    digest = hashlib.sha256(words.encode())
    for name, module in modules.items():
        for path, part in module.named_modules():
            plain = {
                key: value
                for key, value in vars(part).items()
                if isinstance(value, str | int | float | tuple) and not key.startswith("_")
            }
            digest.update(
                f"{name}/{path} {type(part).__qualname__} "
                f"{sorted(plain.items(), key=str) if plain else ''}".encode()
            )
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        tensors = {**tensors, **under(name, held)}
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)  # not a copy of it
    return digest.hexdigest()
