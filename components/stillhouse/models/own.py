"""A user's own nn.Module, made by its own signature."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from stillhouse import plugins
from stillhouse.errors import SettingsError, nearest

OFFERED = ("shape", "classes", "num_classes", "in_channels", "in_features")


def check(module: str, settings: Mapping[str, Any], *, where: str) -> None:
    """Refuse what cannot make a net, without making one.

    Args:
        module: `my_models:Net`, a class or a function that returns a net.
        settings: For its parameters.
        where: The path in params.yaml, for messages.

    Raises:
        SettingsError: There is no such thing, it is no nn.Module, or its parameters are others.
    """
    found = plugins.named(module, where=f"{where}.module")
    if inspect.isclass(found) and not issubclass(found, nn.Module):
        raise SettingsError(
            f"'{module}' is no nn.Module but a {found.__mro__[1].__name__}.",
            where=f"{where}.module",
            fix="Derive it from torch.nn.Module.",
        )
    if not callable(found) or isinstance(found, nn.Module):
        raise SettingsError(
            f"'{module}' is a {type(found).__name__}, not a class or a function that makes a net.",
            where=f"{where}.module",
            fix="Name the class: its weights are drawn from our seed.",
        )
    known = inspect.signature(found).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for name in settings:
        if name not in known and not takes_any:
            raise SettingsError(
                f"'{module}' has no parameter '{name}'.",
                where=f"{where}.settings",
                fix=nearest(name, list(known)) if known else "It takes none.",
            )
    for name, parameter in known.items():
        given = name in settings or name in OFFERED
        bare = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if bare and not given:
            raise SettingsError(
                f"'{module}' needs '{name}', which nobody gives.",
                where=f"{where}.settings",
                fix=f"Set it: settings: {{{name}: …}}; we give {', '.join(OFFERED)} ourselves.",
            )


def make(
    module: str,
    settings: Mapping[str, Any],
    shape: tuple[int, ...],
    classes: int,
    *,
    where: str,
) -> nn.Module:
    """Return the net.

    Args:
        module: `my_models:Net`.
        settings: For its parameters; they go before what we offer.
        shape: One row; `in_channels` is its first axis, of a series its last.
        classes: C.
        where: The path in params.yaml, for messages.

    Raises:
        SettingsError: As `check`, or it does not make a net of these.
    """
    check(module, settings, where=where)
    found = plugins.named(module, where=f"{where}.module")
    features = shape[0] if len(shape) == 3 else shape[-1]
    offered = dict(zip(OFFERED, (shape, classes, classes, features, features), strict=True))
    known = inspect.signature(found).parameters
    given = {name: value for name, value in offered.items() if name in known} | dict(settings)
    try:
        net = found(**given)
    except Exception as error:  # it is the user's code
        raise SettingsError(
            f"'{module}' cannot be made: {type(error).__name__}: {error}",
            where=where,
            fix="Mend it, or its settings.",
        ) from error
    if not isinstance(net, nn.Module):
        raise SettingsError(
            f"'{module}' is no nn.Module: it returns a {type(net).__name__}.",
            where=f"{where}.module",
            fix="Return a torch.nn.Module.",
        )
    return net
