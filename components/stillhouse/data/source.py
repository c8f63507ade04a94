"""What every source does: read rows from somewhere."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from stillhouse.data.dataset import Dataset


class Source(ABC):
    """Reads a data set. A plugin of one method; settings are its constructor's parameters.

    A setting that names a file or folder is annotated `InputFile`: a changed file then makes
    `prepare` stale.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})

    @abstractmethod
    def read(self, root: Path) -> Dataset:
        """Return all rows, in an order that depends only on the source.

        Args:
            root: The folder of params.yaml; relative paths start there (`config.file_of`).

        Raises:
            SourceError: The file is missing, broken or of another kind; the message names file, row
                or column.
        """

    def watermark(self, root: Path) -> str | None:  # noqa: ARG002
        """Return a text that differs when the rows do, for sources that no file's hash stands for;
        None where the settings' files say it all.

        It is asked before every run, so that it must cost far less than `read`.

        Args:
            root: As `read` has it.
        """
        return None
