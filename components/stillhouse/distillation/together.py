"""One method in place of many: those of students that are trained together, asked about all their
rows at once.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.combine import Combine


def plain(method: Method) -> bool:
    """Return whether a method looks at logits alone: it changes no inputs, has no weights and no
    memory of its own, and does nothing after a step.
    """
    if method.needs - {"logits"} or (*method.parameters(), *method.buffers()):
        return False
    parts = [part for part in method.modules() if isinstance(part, Method)]
    return all(
        isinstance(part, Combine)
        or (type(part).inputs is Method.inputs and type(part).after_step is Method.after_step)
        for part in parts
    )


def joined(methods: Sequence[Method], rows: int, like: Tensor) -> Method | None:
    """Return a method whose loss of k × `rows` rows is that of each method about its own rows, in
    their order; None where they differ in a setting that cannot be a tensor.

    Args:
        methods: k of one class.
        rows: Of each.
        like: Whose type and device the settings' tensors get.
    """
    first = methods[0]
    if any(type(method) is not type(first) for method in methods):
        return None
    if isinstance(first, Combine):
        return _combined(methods, rows, like)
    return _one(methods, rows, like)


def _one(methods: Sequence[Method], rows: int, like: Tensor) -> Method | None:
    first = methods[0]
    if first.by_row is None:
        return None
    made = copy.copy(first)
    for name, value in _settings(first).items():
        values = [_settings(method).get(name) for method in methods]
        if all(other == value for other in values):
            continue
        if name not in first.by_row:
            return None
        setattr(made, name, _spread(values, rows, like)[:, None])
    return made


def _combined(methods: Sequence[Method], rows: int, like: Tensor) -> Method | None:
    every = [method for method in methods if isinstance(method, Combine)]
    if len({len(method.parts) for method in every}) > 1:
        return None
    columns = zip(*(method.methods for method in every), strict=True)
    parts = [joined(column, rows, like) for column in columns]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    made = copy.copy(every[0])
    made._modules = {"parts": nn.ModuleList(found)}
    weights = zip(*(method.weights for method in every), strict=True)
    made.weights = [_spread(each, rows, like) for each in weights]
    return made


def _settings(method: Method) -> dict[str, Any]:
    """What a method's constructor left on it in plain values."""
    return {
        name: value
        for name, value in vars(method).items()
        if not name.startswith("_") and name not in ("training", "task")
    }


def _spread(values: Sequence[Any], rows: int, like: Tensor) -> Tensor:
    """Give each row its member's value: [k × rows]."""
    made = torch.tensor(list(values), dtype=like.dtype).to(like.device)
    return made.repeat_interleave(rows)
