"""Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano; UCI, CC BY 4.0): four hospitals in one table, disease yes or no."""

import csv
from pathlib import Path

HOSPITALS = {
    "cleveland": "Cleveland",
    "hungarian": "Hungary",
    "switzerland": "Switzerland",
    "long_beach_va": "Long Beach",
}


def bring(data: Path, into: Path) -> None:
    with (into / "heart.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        for at, (name, hospital) in enumerate(HOSPITALS.items()):
            with (data / "heart_disease_uci" / f"heart_{name}.csv").open(newline="") as file:
                rows = csv.reader(file)
                header = next(rows)
                if at == 0:
                    writer.writerow(["hospital", *header[:-1], "disease"])
                writer.writerows(
                    [hospital, *row[:-1], "no" if float(row[-1]) == 0 else "yes"] for row in rows
                )
