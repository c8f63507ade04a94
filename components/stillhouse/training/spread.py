"""A model whose passes are shared out among several processes, with the answers of one that sees
the whole batch: batch norm over all rows, dropout by the whole batch's mask.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stillhouse.errors import SettingsError, UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Outputs
from stillhouse.models.taps import tapped
from stillhouse.training.pace import Halved
from stillhouse.training.ranks import Ranks, share, total, whole


class Spread(Classifier):
    """Asks a model about this process's rows and answers for all; its parts are the model's own.

    Raises:
        UsageError: When it is asked: the net draws in a way that cannot be shared out.
    """

    def __init__(self, model: Classifier, ranks: Ranks) -> None:
        nn.Module.__init__(self)
        self.normalize, self.net = model.normalize, model.net
        self.training = model.training
        self._model, self._ranks = (model,), ranks  # in a tuple it is no submodule

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outputs(inputs).logits

    def outputs(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Outputs:
        rows, ranks = len(inputs), self._ranks
        with _whole_batch(self._model[0], ranks, rows):
            own = tapped(self._model[0], share(inputs, ranks), taps)
        features = {tap: whole(own.features[tap], ranks, rows) for tap in sorted(own.features)}
        return Outputs(whole(own.logits, ranks, rows), features)

    def standard(self, told: Tensor) -> Tensor:
        return self._model[0].standard(told)


def spread(model: Classifier, ranks: Ranks) -> Classifier:
    """Return what a loss asks in the model's place: itself in one process alone.

    Raises:
        SettingsError: The model is laid out in a way that cannot be shared out.
    """
    if ranks.count == 1:
        return model
    if isinstance(model, Halved):
        raise SettingsError(
            "a model in bfloat16 is trained in one process.",
            where="pace",
            fix="Write plain or channels_last.",
        )
    return Spread(model, ranks)


@contextlib.contextmanager
def _whole_batch(model: nn.Module, ranks: Ranks, rows: int) -> Iterator[None]:
    """Let the layers that look at, or draw for, other rows do so for the whole batch."""
    draws = _Draws()
    changed: list[nn.Module] = []
    try:
        for module in model.modules():
            done = _shared(module, ranks, rows, draws) if module.training else None
            if done is not None:
                module.forward = done
                changed.append(module)
        yield
        draws.require_none()
    finally:
        for module in changed:
            del module.forward


def _shared(
    module: nn.Module, ranks: Ranks, rows: int, draws: "_Draws"
) -> Callable[[Tensor], Tensor] | None:
    if isinstance(module, _BatchNorm):
        return partial(_normed, module, ranks, rows)
    if type(module) is nn.Dropout and module.p:
        return partial(_dropped, module.p, ranks, rows, draws)
    return None


def _normed(module: _BatchNorm, ranks: Ranks, rows: int, features: Tensor) -> Tensor:
    """Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1) over the rows of all."""
    axes = [0, *range(2, features.ndim)]
    places = [1, -1, *[1] * (features.ndim - 2)]
    count = rows * features[0, 0].numel()
    mean = total(features.sum(axes), ranks) / count
    apart = features - mean.view(places)
    variance = total(apart.square().sum(axes), ranks) / count
    _remember(module, mean.detach(), variance.detach() * count / max(count - 1, 1))
    found = apart * (variance + module.eps).rsqrt().view(places)
    if module.affine:
        found = found * module.weight.view(places) + module.bias.view(places)
    return found


def _remember(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if module.running_mean is None or module.running_var is None:
        return
    seen = module.num_batches_tracked
    if seen is not None:
        seen.add_(1)
    moved = module.momentum if module.momentum is not None else 1 / int(seen or 1)
    module.running_mean.mul_(1 - moved).add_(mean, alpha=moved)
    module.running_var.mul_(1 - moved).add_(variance, alpha=moved)


def _dropped(
    probability: float, ranks: Ranks, rows: int, draws: "_Draws", features: Tensor
) -> Tensor:
    ones = torch.ones(rows, *features.shape[1:], dtype=features.dtype, device=features.device)
    with draws:
        mask = F.dropout(ones, probability)
    return features * mask[ranks.mine(rows)]


class _Draws:
    """Notices whatever else is drawn from torch's generator: processes with shares of two sizes
    would then draw apart for the rest of the training.
    """

    def __init__(self) -> None:
        self._left = torch.get_rng_state()

    def __enter__(self) -> None:
        self.require_none()

    def __exit__(self, *_: object) -> None:
        self._left = torch.get_rng_state()

    def require_none(self) -> None:
        """Raise if something was drawn since."""
        if not torch.equal(self._left, torch.get_rng_state()):
            raise UsageError(
                "the net draws random numbers otherwise than by nn.Dropout, which several "
                "processes cannot share.",
                fix="Train it in one process, or without what draws.",
            )
