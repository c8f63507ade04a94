"""Arrays that numpy or MNIST's authors saved."""

import zipfile
from pathlib import Path
from typing import Any

from stillhouse.data.archive import read_arrays
from stillhouse.errors import SourceError, UsageError
from stillhouse_flows.intake.hints import By, Guess, Hints

FEW_GROUPS = 3
SQUARE = 8  # a side from which [N, S, S] is taken for grey images


def npz(path: Path, place: str, hints: Hints) -> Guess:
    """Return how an npz file can be read.

    Raises:
        SourceError: It is none, or has no `inputs`.
    """
    found = read_arrays(path, ("inputs", "groups", "time"))
    if "inputs" not in found:
        names = ", ".join(sorted(_names(path))) or "none"
        raise SourceError(
            f"there is no array 'inputs' (there are: {names}).",
            where=path.name,
            fix="Save it with np.savez(file, inputs=…, targets=…, groups=…).",
        )
    source: dict[str, Any] = {"name": "npz", "path": place}
    notes = []
    if hints.kind != "auto":
        source["kind"] = hints.kind
    elif found["inputs"].ndim == 3:
        _, height, width = found["inputs"].shape
        grey = height == width >= SQUARE or found["inputs"].dtype == "uint8"
        source["kind"] = "image" if grey else "series"
        what = "grey images" if grey else "series [T, D]"
        notes.append(f"rows of {height} × {width} are taken for {what}; --kind says otherwise.")
    by: By = "row"
    if "groups" in found and len(set(found["groups"].tolist())) >= FEW_GROUPS:
        by = "group"
    elif "time" in found:
        by = "time"
    return Guess(source, by, tuple(notes))


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def idx(path: Path, place: str) -> Guess:
    """Return how a file of images in MNIST's format can be read: its labels lie beside it.

    Raises:
        UsageError: There is no such file beside it.
    """
    labels = path.name.replace("images", "labels").replace("idx3", "idx1")
    if labels == path.name or not path.with_name(labels).is_file():
        raise UsageError(
            "there is no file of labels beside these images.",
            where=path.name,
            fix="Name them alike: …-images-idx3-ubyte and …-labels-idx1-ubyte.",
        )
    beside = place[: len(place) - len(path.name)] + labels
    return Guess({"name": "idx", "images": place, "labels": beside})
