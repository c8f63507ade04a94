"""What every architecture does: build a net for rows of a shape."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn


class Architecture(ABC):
    """Builds a net.

    A plugin of one method; width, depth and the like are its constructor's parameters.

    Attributes:
        accepts: The kinds of rows it takes.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})

    @abstractmethod
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return a net from normalised rows [B, *shape] to logits [B, classes], its weights drawn
        from torch's global generator.

        Args:
            shape: One row after normalisation and encoding: (channels, height, width), (T, D) or
                (D,).
            classes: C.
        """
