"""Arrays that numpy or MNIST's authors saved."""

import re
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from stillhouse.data.archive import array_names, read_arrays
from stillhouse.data.labels import several_labels
from stillhouse.errors import SourceError, UsageError, nearest
from stillhouse_flows.intake.hints import COLUMNS, By, Guess, Hints, refuse_hints

FEW_GROUPS = 3
COLOURS = (1, 3)  # channels
PARTS = {
    part: re.compile(pattern, re.IGNORECASE)
    for part, pattern in {
        "inputs": r"inputs|x|images?|data|features|signals?|(x|images?|inputs)_train|"
        r"train_(x|images?|inputs|data)",
        "targets": r"targets?|y|labels?|classes|(y|labels?|targets?)_train|train_(y|labels?)",
        "groups": r"groups?|subjects?|patients?|persons?|users?|wearers?|speakers?|people",
        "time": r"times?|timestamps?",
    }.items()
}
NAMES = re.compile(r"(class|target|label)(es|s)?(_?names)?", re.IGNORECASE)  # of the classes
SQUARE = 8  # a side from which [N, S, S] is taken for grey images


def npz(path: Path, place: str, hints: Hints) -> Guess:
    """Return how an npz file can be read, whatever its arrays are called.

    Raises:
        SourceError: It is none, or no array is evidently the inputs.
        UsageError: An array that was named is not there, or what was said fits no arrays.
    """
    refuse_hints(hints, ("drop", "window"), what="arrays", where=path.name)
    names = _parts(path) | _named(path, hints)
    found = read_arrays(path, tuple(names.values()))
    inputs = found[names["inputs"]]
    source: dict[str, Any] = {"name": "npz", "path": place}
    source |= {part: name for part, name in names.items() if part != name}
    notes = []
    if hints.kind != "auto":
        source["kind"] = hints.kind
    elif inputs.ndim == 3:
        _, height, width = inputs.shape
        grey = height == width >= SQUARE or inputs.dtype == "uint8"
        source["kind"] = "image" if grey else "series"
        what = "grey images" if grey else "series [T, D]"
        notes.append(f"rows of {height} × {width} are taken for {what}; --kind says otherwise.")
    if source.get("kind", "image" if inputs.ndim == 4 else "") == "image":
        source |= _pixels(inputs)
    if "targets" in names and several_labels(found[names["targets"]]):
        source["task"] = "multi_label"
        notes.append("a row of the targets may have several labels, or none.")
    if told := _class_names(path, names, found):
        source["classes"] = told
    by: By = "row"
    groups = len(set(found[names["groups"]].tolist())) if "groups" in names else 0
    if hints.group or (groups >= FEW_GROUPS and not hints.time):
        by = "group"
    elif "time" in names:
        by = "time"
    if 0 < groups < FEW_GROUPS and not hints.group:
        notes.append(
            f"'{names['groups']}' names {groups} group{'s' * (groups > 1)}, too few to hold whole "
            "ones out: each is in train and test."
        )
    return Guess(source, by, tuple(notes))


def _parts(path: Path) -> dict[str, str]:
    """Return part → the array that plays it, by its name."""
    read_arrays(path, ())  # says what the file is, if it is no npz
    there = array_names(path)
    parts = {
        part: name
        for part, pattern in PARTS.items()
        if (matching := [name for name in there if pattern.fullmatch(name)])
        for name in sorted(matching, key=lambda name: name == "classes")[:1]  # or their names
    }
    if "inputs" not in parts:
        raise SourceError(
            f"no array is evidently the inputs; there are: {', '.join(there) or 'none'}.",
            where=path.name,
            fix="Save it with np.savez(file, inputs=…, targets=…, groups=…).",
        )
    return parts


def _named(path: Path, hints: Hints) -> dict[str, str]:
    """Return part → array, as far as the user named them.

    Raises:
        UsageError: There is no such array.
    """
    asked = {"targets": hints.target, "groups": hints.group, "time": hints.time}
    flags = {"targets": "--target", "groups": "--group", "time": "--time"}
    there = array_names(path)
    for part, name in asked.items():
        if name and name not in there:
            raise UsageError(
                f"there is no array '{name}'.",
                where=f"{flags[part]}, {path.name}",
                fix=nearest(name, list(there)),
            )
    return {part: name for part, name in asked.items() if name}


def _class_names(
    path: Path, names: dict[str, str], found: dict[str, NDArray[Any]]
) -> list[str] | None:
    """Return the names of the targets' codes, or of several labels, where an array holds them."""
    targets = found.get(names.get("targets", ""))
    if targets is None or targets.dtype.kind not in "iubf" or not targets.size:
        return None
    count = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1
    for name in array_names(path):
        if name in names.values() or not NAMES.fullmatch(name):
            continue
        told = read_arrays(path, (name,))[name]
        texts = [str(each).strip() for each in told.tolist()] if told.dtype.kind == "U" else []
        if told.ndim == 1 and len(texts) == count and len({*texts, ""}) == count + 1:
            return texts
    return None


def _pixels(inputs: NDArray[Any]) -> dict[str, Any]:
    """Return what brings images to [N, channels, height, width] in [0, 1]."""
    last = inputs.ndim == 4 and inputs.shape[-1] in COLOURS and inputs.shape[1] not in COLOURS
    deep = inputs.size > 0 and float(inputs.max()) > 2
    return ({"channels": "last"} if last else {}) | ({"scale": 255} if deep else {})


def idx(path: Path, place: str, hints: Hints) -> Guess:
    """Return how a file of images in MNIST's format can be read: its labels lie beside it.

    Raises:
        UsageError: There is no such file beside it, or a column was named.
    """
    refuse_hints(hints, COLUMNS, what="images", where=path.name)
    labels = path.name.replace("images", "labels").replace("idx3", "idx1")
    if labels == path.name or not path.with_name(labels).is_file():
        raise UsageError(
            "there is no file of labels beside these images.",
            where=path.name,
            fix="Name them alike: …-images-idx3-ubyte and …-labels-idx1-ubyte.",
        )
    beside = place[: len(place) - len(path.name)] + labels
    return Guess({"name": "idx", "images": place, "labels": beside})
