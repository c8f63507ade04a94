"""Adult / Census Income (Becker and Kohavi, UCI, CC BY 4.0): its own test file is the test split, every tenth row of its train file is val."""

import csv
import gzip
from pathlib import Path


def bring(data: Path, into: Path) -> None:
    with (into / "adult.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        for part in ("train", "test"):
            with gzip.open(data / "adult" / f"adult_{part}.csv.gz", "rt", newline="") as file:
                rows = csv.reader(file)
                header = next(rows)
                if part == "train":
                    writer.writerow(["part", *header])
                for at, row in enumerate(rows):
                    held = "val" if part == "train" and at % 10 == 0 else part
                    writer.writerow([held, *row[:-1], row[-1].rstrip(".")])
