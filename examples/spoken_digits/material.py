"""Free Spoken Digit Dataset (Z. Jackson et al., CC BY-SA 4.0): names say digit, speaker and number."""

import tarfile
from pathlib import Path


def bring(data: Path, into: Path) -> None:
    with tarfile.open(data / "free_spoken_digits" / "recordings.tar.gz") as archive:
        archive.extractall(into, filter="data")
