"""Files as people bring them, small: nothing in them was made for the code that reads them."""

import csv
import wave
from pathlib import Path

import numpy as np
from PIL import Image


def _write(path: Path, names: list[str], rows: list[list[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def hospital(folder: Path, rows: int = 400) -> Path:
    """Stays in a hospital: patients who come again, codes among numbers, notes, dates, holes."""
    draw = np.random.default_rng(1)
    table = []
    for at in range(rows):
        patient, age = int(draw.integers(100, 260)), int(draw.integers(18, 95))
        blood = round(float(draw.normal(13, 2)), 1)
        risk = (age - 60) / 15 - (blood - 13) / 2 + draw.normal(0, 0.5)
        code = f"V{at // 200}" if at % 25 == 0 else str(draw.integers(1, 45))
        table.append(
            [
                9000 + at,
                patient,
                age if draw.random() > 0.1 else "",
                blood if draw.random() > 0.1 else "unknown",
                code,
                f"seen by dr {draw.integers(1e6)}",
                f"2025-{draw.integers(1, 13):02d}-{draw.integers(1, 28):02d}",
                draw.choice(["ward a", "ward b", "?"]),
                "",
                "yes" if risk > 0.4 else "no",
            ]
        )
    names = ["encounter_id", "patient_nbr", "age (years)", "Hb [g/dL]", "diag_1", "notes"]
    return _write(
        folder / "hospital.csv", [*names, "admitted", "ward", "nothing", "readmitted"], table
    )


def crashes(folder: Path, rows: int = 1500) -> Path:
    """Rare events, semicolons and decimal commas."""
    draw = np.random.default_rng(2)
    table = []
    for at in range(rows):
        speed, grip = draw.normal(60, 20), draw.normal(0.6, 0.2)
        fatal = speed / 20 - 4 * grip + draw.normal(0, 0.7) > 3.4
        cells = [f"{speed:.1f}".replace(".", ","), f"{grip:.2f}".replace(".", ",")]
        table.append([f"C{at:05d}", *cells, draw.choice(["wet", "dry"]), int(fatal)])
    names = ["crash_id", "speed_kmh", "grip", "road", "fatal"]
    return _write(folder / "crashes.csv", names, table, ";")


def price(folder: Path, rows: int = 300) -> Path:
    """A quantity, of which some are not known yet."""
    draw, table = np.random.default_rng(7), []
    for at in range(rows):
        size, age = draw.normal(80, 20), int(draw.integers(0, 60))
        asked = round(float(3 * size - age + draw.normal(0, 20)), 1)
        table.append([round(float(size), 1), age, draw.choice(["n", "s"]), asked if at % 9 else ""])
    return _write(folder / "price.csv", ["size_m2", "age", "side", "target"], table)


def gas(folder: Path, batches: int = 10, each: int = 40) -> Path:
    """Sensors that drift from batch to batch."""
    draw = np.random.default_rng(3)
    centres, table = draw.normal(size=(3, 6)), []
    for batch in range(batches):
        for _ in range(each):
            kind = int(draw.integers(3))
            values = np.round(centres[kind] * 2 + 0.2 * batch + draw.normal(0, 0.4, 6), 3)
            table.append([batch, ["ethanol", "acetone", "toluene"][kind], *values])
    return _write(folder / "gas.csv", ["batch", "gas", *(f"s{at}" for at in range(6))], table)


def watch(folder: Path, wearers: int = 9, lines: int = 96) -> Path:
    """A wristband's lines: three activities of each wearer, one after the other."""
    draw, table = np.random.default_rng(4), []
    for wearer in range(wearers):
        for what, speed in (("walk", 0.3), ("rest", 0.02), ("run", 0.9)):
            for at in range(lines):
                phase = speed * at + wearer
                values = np.round([np.sin(phase), np.cos(phase), speed * 5], 3) + draw.normal(
                    0, 0.1, 3
                )
                table.append([f"w{wearer}", what, len(table) * 50, *np.round(values, 3)])
    return _write(folder / "watch.csv", ["user", "activity", "timestamp", "x", "y", "z"], table)


def signs(folder: Path, classes: int = 5, each: int = 12) -> Path:
    """Photographs of several sizes, a folder a class."""
    draw = np.random.default_rng(5)
    for kind in range(classes):
        place = folder / "signs" / "ABCDEFGH"[kind]
        place.mkdir(parents=True)
        for at in range(each):
            high, wide = draw.integers(40, 70, 2)
            pixels = draw.integers(0, 60, (high, wide, 3), dtype=np.uint8)
            left = int(wide * kind / classes)
            pixels[:, left : left + wide // classes] = [220, 180, 150]
            Image.fromarray(pixels).save(place / f"IMG_{at:03d}.jpg")
    return folder / "signs"


def words(folder: Path) -> Path:
    """Recordings whose names say word, speaker and number."""
    draw, place = np.random.default_rng(6), folder / "words"
    place.mkdir()
    for word in ("yes", "no"):
        for speaker in "abcdefghij":
            for at in range(3):
                pitch = 300 if word == "yes" else 700
                tone = np.sin(np.arange(1600) * 6.28 * pitch / 8000) * 9000
                sound = (tone + draw.normal(0, 500, 1600)).astype("<i2")
                with wave.open(str(place / f"{word}_{speaker}_{at}.wav"), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(8000)
                    file.writeframes(sound.tobytes())
    return place
