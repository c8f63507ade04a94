"""What every source does: read rows from somewhere."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from stillhouse.data.dataset import Dataset
from stillhouse.data.rows import Rows, read_rows
from stillhouse.data.schema import Schema, Task


class Source(ABC):
    """Reads a data set. A plugin of one method; settings are its constructor's parameters.

    A setting that names a file or folder is annotated `InputFile`: a changed file then makes
    `prepare` stale.

    Attributes:
        kinds: The kinds of rows that it may give.
        task: What its settings say is predicted; None where only the rows tell.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})
    task: Task | None = None

    @abstractmethod
    def read(self, root: Path) -> Dataset:
        """Return all rows, in an order that depends only on the source.

        Args:
            root: The folder of params.yaml; relative paths start there (`config.file_of`).

        Raises:
            SourceError: The file is missing, broken or of another kind; the message names file, row
                or column.
        """

    def rows(self, path: Path, schema: Schema) -> Rows:
        """Return the rows of another file, to be answered: read as `read` does, without targets.

        Args:
            path: The file or folder.
            schema: What the model learned from.

        Raises:
            SourceError: It is missing, broken, or its rows are others than the model takes.
        """
        return read_rows(path, schema)

    def watermark(self, root: Path) -> str | None:  # noqa: ARG002
        """Return a text that differs when the rows do, for sources that no file's hash stands for;
        None where the settings' files say it all.

        It is asked before every run, so that it must cost far less than `read`.

        Args:
            root: As `read` has it.
        """
        return None
