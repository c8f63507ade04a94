"""The optimisers that params.yaml can name, each with its bounds; torch's own do the work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from stillhouse import config
from stillhouse.config import NonNegative, Positive, Spec
from stillhouse.errors import SettingsError, nearest

Decay = Annotated[float, Interval(ge=0, lt=1)]
Groups = list[dict[str, Any]]


@dataclass(frozen=True)
class AdamWSettings:
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019,
    arXiv:1711.05101).
    """

    lr: Positive = 3e-3
    weight_decay: NonNegative = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999

    def make(self, groups: Groups) -> Optimizer:
        """Return the optimiser of these parameters; fused, as one pass over small weights is faster
        than eight.
        """
        return AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True)
class AdamSettings:
    """Adam, weight decay as part of the gradient (Kingma and Ba 2015, arXiv:1412.6980)."""

    lr: Positive = 3e-3
    weight_decay: NonNegative = 0.0
    beta1: Decay = 0.9
    beta2: Decay = 0.999

    def make(self, groups: Groups) -> Optimizer:
        """Return the optimiser of these parameters."""
        return Adam(groups, lr=self.lr, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True)
class SGDSettings:
    """Stochastic gradient descent with momentum."""

    lr: Positive = 0.1
    weight_decay: NonNegative = 1e-4
    momentum: Decay = 0.9
    nesterov: bool = False

    def make(self, groups: Groups) -> Optimizer:
        """Return the optimiser of these parameters."""
        return SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=True)


OptimizerSettings = AdamWSettings | AdamSettings | SGDSettings
KNOWN: dict[str, Callable[..., OptimizerSettings]] = {
    "adamw": AdamWSettings,
    "adam": AdamSettings,
    "sgd": SGDSettings,
}


def optimizer_settings(spec: Spec, where: str) -> OptimizerSettings:
    """Return the typed settings that `{name: adamw, lr: 0.003}` stands for.

    Raises:
        SettingsError: The name is unknown (the nearest is named), or a setting does not fit.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise SettingsError(
            f"needs a mapping with a name, not {spec!r}.",
            where=where,
            fix=f"Write {{name: …}} with one of: {', '.join(sorted(KNOWN))}.",
        )
    if spec["name"] not in KNOWN:
        raise SettingsError(
            f"there is no optimiser '{spec['name']}'.",
            where=f"{where}.name",
            fix=nearest(spec["name"], list(KNOWN)),
        )
    made = config.build(
        KNOWN[spec["name"]],
        {key: value for key, value in spec.items() if key != "name"},
        where=where,
    )
    if isinstance(made, SGDSettings) and made.nesterov and not made.momentum:
        raise SettingsError(
            "nesterov needs momentum above 0.",
            where=f"{where}.momentum",
            fix="Raise momentum, or leave nesterov out.",
        )
    return made


def check_optimizer(spec: Spec, where: str) -> None:
    """Check an optimiser's settings; a search space is checked at both ends.

    Errors as `optimizer_settings`.
    """
    given = dict(spec) if isinstance(spec, Mapping) else spec
    found = list(config.spaces(given))
    limits = {path: config.ends(space, ".".join((where, *path))) for path, space in found}
    for path, values in limits.items():
        given = config.put(given, path, values[0])
    optimizer_settings(given, where)
    for path, values in limits.items():
        for value in values:
            optimizer_settings(config.put(given, path, value), where)


def optimizer(settings: OptimizerSettings, modules: list[nn.Module]) -> Optimizer:
    """Return an optimiser of everything learned in `modules`. Only matrices decay: a bias or a
    norm's scale has no size to keep small.
    """
    weights = [
        weight for module in modules for weight in module.parameters() if weight.requires_grad
    ]
    matrices, others = [w for w in weights if w.ndim > 1], [w for w in weights if w.ndim <= 1]
    groups: Groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return settings.make([group for group in groups if group["params"]])
