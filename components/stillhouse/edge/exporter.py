"""What every exporter does: turn a student into the bytes of one file that a device can run."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from stillhouse.data.schema import Schema
from stillhouse.errors import StillhouseError

INPUTS, OUTPUTS = "inputs", "logits"


class ExportFailed(StillhouseError):
    """The model cannot be exported, or the exported one does not answer as it did."""


class Exporter(ABC):
    """Writes a model in a format. A plugin of one `export`.

    Attributes:
        accepts: The kinds of rows it takes.
        needs: What the model must give.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})
    needs: ClassVar[frozenset[str]] = frozenset({"logits"})

    @abstractmethod
    def export(self, model: nn.Module, schema: Schema) -> bytes:
        """Return one file's bytes, the same bytes for the same weights, for any number of rows.

        Args:
            model: Data space [B, *shape] to logits [B, C], in evaluation mode.
            schema: What a row is.

        Raises:
            ExportFailed: The format has no words for what the model does.
        """
