"""A net of your own, as it stands in your own file."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Spec
from stillhouse.models import own

NONE: Spec = {}


class Module(Architecture):
    """Builds an nn.Module that a file or package of yours defines; it needs no base class of ours.

    Of its constructor's parameters `shape` (of a normalised row), `classes` or `num_classes`, and
    `in_channels` or `in_features` are given; the others have defaults or stand in `settings`.

    Args:
        module: `my_models:Net`: file (beside params.yaml) or package, and class, or a function that
            returns a net.
        settings: For its other parameters.
    """

    def __init__(self, *, module: str, settings: Spec = NONE) -> None:
        self.module, self.settings = module, settings

    @staticmethod
    def check(settings: Mapping[str, Any], *, where: str) -> None:
        """Refuse at load what is no net."""
        own.check(settings["module"], settings["settings"], where=where)

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net; its taps are its own modules' names.

        Raises:
            SettingsError: It is no nn.Module, or cannot be made of these.
        """
        return own.make(self.module, self.settings, shape, classes, where="module")
