"""Beijing PM2.5 (S. X. Chen, UCI, CC BY 4.0): the hour's air by weather, and by the air a day before; 2014 is the later, drifted year."""

import csv
import gzip
from pathlib import Path

LIMITS = (
    (35.0, "good"),
    (75.0, "moderate"),
    (float("inf"), "unhealthy"),
)  # µg/m³, 24-hour grades of GB 3095-2012
DAY = 24


def bring(data: Path, into: Path) -> None:
    hours = []
    for name in ("beijing_pm25_2010_2013", "beijing_pm25_2014_drifted"):
        with gzip.open(data / "beijing_pm25" / f"{name}.csv.gz", "rt", newline="") as file:
            hours += list(csv.DictReader(file))
    weather = ["month", "hour", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"]
    with (into / "air.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["when", *weather, "yesterday", "air"])
        for at, hour in enumerate(hours):
            before = hours[at - DAY]["pm2.5"] if at >= DAY else ""
            when = f"{int(hour['year'])}-{int(hour['month']):02d}-{int(hour['day']):02d}T{int(hour['hour']):02d}:00"
            writer.writerow(
                [when, *(hour[name] for name in weather), _cell(before), grade(hour["pm2.5"])]
            )


def _cell(text: str) -> str:
    return "" if text in ("", "NA") else text


def grade(text: str) -> str:
    """Return the grade of an hour; empty where nobody measured."""
    return "" if _cell(text) == "" else next(name for limit, name in LIMITS if float(text) <= limit)
