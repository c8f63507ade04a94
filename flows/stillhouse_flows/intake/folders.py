"""A folder of images or of recordings: a folder a class."""

from collections import Counter
from pathlib import Path
from typing import Any

from stillhouse.data.filenames import Pattern
from stillhouse.data.folder import Rows, read_file, rows_of
from stillhouse.data.pictures import header
from stillhouse.errors import SourceError
from stillhouse_flows.intake.hints import By, Guess

SIDE = 32  # photographs are brought to; what a small net reads well in minutes
SAMPLES = 2048  # of a row of sound
LOOKED_AT = 500  # files whose headers are read to tell sizes


def guess(path: Path, place: str) -> Guess:
    """Return how a folder can be read.

    Raises:
        SourceError: It holds neither images nor recordings, or no class.
    """
    ends = Counter(file.suffix.lower() for file in path.rglob("*") if file.is_file())
    flat = _flat(path)
    rows = rows_of(path, Pattern.of(flat, where="the names") if flat else None)
    sound = ends[".wav"] > sum(ends.values()) / 2
    return _sounds(rows, place, flat) if sound else _images(rows, place, flat)


def _flat(path: Path) -> str | None:
    """Return what the names of files say that stand in no class folder; None where folders do."""
    stems = [file.stem for file in path.iterdir() if file.is_file() and file.name[0] != "."]
    if not stems or any(place.is_dir() for place in path.iterdir()):
        return None
    for parts, pattern in ((3, "{label}_{group}_{n}"), (2, "{label}_{n}")):
        if all(stem.count("_") == parts - 1 and stem[-1].isdigit() for stem in stems):
            return pattern
    return None


def _images(rows: Rows, place: str, flat: str | None) -> Guess:
    step = max(len(rows.files) // LOOKED_AT, 1)
    sizes: Counter[tuple[int, int]] = Counter()
    for file in rows.files[::step]:
        sizes[header(read_file(rows, file), rows.name(file)).size] += 1
    (height, width), _ = sizes.most_common(1)[0]
    source: dict[str, Any] = {"name": "imagefolder", "path": place}
    notes = []
    if len(sizes) > 1 or max(height, width) > 2 * SIDE:
        source["resize"] = SIDE
        said = "of several sizes" if len(sizes) > 1 else f"of {height} × {width} pixels"
        notes.append(f"the images are {said}; they are brought to {SIDE} × {SIDE}.")
    by, pattern = _pattern(rows) if flat is None else (_by(flat), flat)
    if pattern and flat is None:
        notes.append(
            f"names look like {pattern}: whoever {{group}} is, is held out whole; take pattern "
            "out if that word means nothing."
        )
    if pattern:
        source["pattern"] = pattern
    return Guess(source, by, tuple(notes))


def _pattern(rows: Rows) -> tuple[By, str | None]:
    """Names such as `anna_3.jpg` in every class folder say who was photographed."""
    heads = [file.stem.rpartition("_")[0] for file in rows.files]
    counts = Counter(heads)
    tails = {file.stem.rpartition("_")[2] for file in rows.files}
    usable = all(heads) and all(tail.isdigit() for tail in tails)
    shared = len(counts) >= 5 and all(
        len({rows.targets[at].item() for at, said in enumerate(heads) if said == head}) > 1
        for head in list(counts)[:20]
    )
    return ("group", "{group}_{n}") if usable and shared else ("row", None)


def _by(pattern: str) -> By:
    return "group" if "{group}" in pattern else "row"


def _sounds(rows: Rows, place: str, flat: str | None) -> Guess:
    import io
    import wave

    file = rows.files[len(rows.files) // 2]
    try:
        with wave.open(io.BytesIO(read_file(rows, file))) as sound:
            samples, rate = sound.getnframes(), sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise SourceError(
            f"it is no uncompressed WAV: {error}.", where=rows.name(file), fix="Convert it."
        ) from None
    thinned = max(round(samples / SAMPLES), 1)
    source = {
        "name": "wavfolder",
        "path": place,
        "length": min(SAMPLES, -(-samples // thinned)),
        "decimate": thinned,
        **({"pattern": flat} if flat else {}),
    }
    note = (
        f"recordings of about {samples / rate:.1f} s at {rate:,} a second become rows of "
        f"{source['length']} steps."
    )
    return Guess(source, _by(flat or ""), (note,))
