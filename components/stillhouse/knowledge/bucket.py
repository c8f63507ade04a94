"""A place that machines share and nobody locks: objects under names, each written whole.

`file://` is a folder whose locks do not work or are not trusted; anything else is spoken to through
fsspec (`s3://`, `gs://`, `az://`), by the library that its extra installs.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import SettingsError
from stillhouse.workspace import write_atomic, write_once

WHERE = "STILLHOUSE_KNOWLEDGE"


class Bucket(Protocol):
    """Four calls; every error of theirs is one of ours.

    A name is `folder/file`, or `file` alone.
    """

    def names(self, folder: str) -> list[str]:
        """Return the names of a folder's files, without the folder's; none where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """Return an object's bytes; none where it is not there."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write an object: readers see the old bytes or all of the new ones."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Write an object if there is none of this name; where there is one, nothing happens.

        A store that knows no such condition may write over it: whoever must know reads it again.
        """
        ...


class Folder:
    """A folder that is there.

    Args:
        root: It.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, folder: str) -> list[str]:
        place = self.root / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        write_atomic(self.root / name, data)

    def create(self, name: str, data: bytes) -> None:
        write_once(self.root / name, data)


def bucket(url: str, clock: Clock = SYSTEM) -> Bucket:
    """Return what a URL names.

    Args:
        url: `file:///folder`, `s3://bucket/prefix`, or another one that fsspec knows.
        clock: For the pauses between tries.

    Raises:
        SettingsError: The folder is not there, or what speaks to such a store is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        from stillhouse.knowledge.objects import Objects

        return Objects(url, clock)
    root = Path(unquote(parts.path))
    if parts.netloc or not root.is_absolute() or not root.is_dir():
        raise SettingsError(
            f"'{url}' is no folder that is there.",
            where=WHERE,
            fix="Make it, and write file:///whole/path.",
        )
    return Folder(root)
