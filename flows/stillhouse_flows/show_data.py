"""How data and a begun project are shown: 80 columns of what decides, the rest with --json."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stillhouse_flows.show import WIDTH, plain

if TYPE_CHECKING:
    from stillhouse_flows.init import Begun

MOST_CLASSES, MOST_COLUMNS = 12, 60


def _out() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def described(found: Mapping[str, Any]) -> None:
    """Show what a file holds and what would be made of it."""
    console = _out()
    shape = " × ".join(str(side) for side in found["row_shape"])
    console.print(
        Text(f"{plain(found['file'])}: {found['rows']:,} {found['kind']} rows of {shape}")
    )
    for line in _counted(found):
        console.print(Text(f"  {line}"))
    if found["classes"] or found["labels"]:
        console.print(_classes(found["classes"] or found["labels"]))
    if any(column["part"] != "channel" for column in found["columns"]):
        console.print()
        console.print(_columns(found["columns"]))
    console.print()
    for line in _decided(found):
        console.print(Text(plain(line)))
    for note in found["notes"]:
        console.print(Text(f"note      {plain(note)}"))
    console.print()
    console.print(Text("params.yaml would say:", style="bold"))
    for line in found["params"].splitlines():
        console.print(Text(plain(line)), soft_wrap=True)


def _counted(found: Mapping[str, Any]) -> list[str]:
    lines = []
    if found["unlabelled"]:
        lines.append(f"{found['unlabelled']:,} have no target")
    if found["duplicates"]:
        lines.append(f"{found['duplicates']:,} are equal to another row")
    if found["quantity"]:
        told = "{low:g} to {high:g}, median {median:g}".format(**found["quantity"])
        lines.append(f"the target is a quantity: {told}")
    if found["labels"]:
        lines.append(f"a row has several of {len(found['labels'])} labels, or none:")
    if found["groups"]:
        lines.append(f"{found['groups']:,} groups")
    return lines


def _classes(classes: list[dict[str, Any]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    table.add_column(width=20)
    table.add_column(justify="right")
    table.add_column(justify="right")
    largest = max(entry["share"] for entry in classes)
    ranked = sorted(classes, key=lambda entry: -entry["rows"])
    for entry in ranked[:MOST_CLASSES]:
        bar = "▇" * max(round(24 * entry["share"] / largest), 1)
        table.add_row(
            Text(plain(entry["name"], 20)),
            f"{entry['rows']:,}",
            f"{100 * entry['share']:.1f} %",
            bar,
        )
    if len(ranked) > MOST_CLASSES:
        table.add_row(f"… {len(ranked) - MOST_CLASSES} more", "", "", "")
    return table


def _columns(columns: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name, width in (("column", 22), ("part", 7), ("kind", 8)):
        table.add_column(name, width=width, no_wrap=True)
    table.add_column("missing", width=7, justify="right")
    table.add_column("values", width=28, overflow="ellipsis", no_wrap=True)
    for column in columns[:MOST_COLUMNS]:
        rows = column["rows"] + column["missing"]
        share = f"{100 * column['missing'] / rows:.1f} %" if column["missing"] else ""
        table.add_row(
            Text(plain(column["name"], 22)), column["part"], column["kind"], share, _values(column)
        )
    if len(columns) > MOST_COLUMNS:
        table.add_row(f"… {len(columns) - MOST_COLUMNS} more (--json has all)", "", "", "", "")
    return table


def _values(column: Mapping[str, Any]) -> Text:
    unit = f" {column['unit']}" if column.get("unit") else ""
    if "low" in column:
        return Text(plain(f"{column['low']:g} to {column['high']:g}{unit}"))
    return Text(plain(f"{column['distinct']:,}: {', '.join(column['some'])}", 60))


def _decided(found: Mapping[str, Any]) -> list[str]:
    split, student, base = found["split"], found["student"], found["baseline"]
    rows = " / ".join(f"{split['rows'][part]:,}" for part in ("train", "val", "test"))
    could = [
        f"{part} could be {', '.join(names)}"
        for part, names in found["candidates"].items()
        if names and part != "keys"
    ]
    return [
        f"split     by {split['by']}: {rows} rows (train / val / test)",
        f"quick     {base['name']} reaches {base['reached']:.3f} {base['metric']} on val, guessing "
        f"{base['chance']:.3f}",
        f"student   {student['spec']['name']}: {student['parameters']:,} weights, "
        f"{student['macs']:,} multiply-accumulates a row",
        *[f"          {line}" for line in could],
    ]


def begun(made: "Begun") -> None:
    """Show what was written and what comes next."""
    console, told = _out(), made.as_dict()
    rows = made.plan.rows
    console.print(
        Text(
            f"{made.kind} rows, split by {made.plan.split['by']}: {rows['train']:,} train, "
            f"{rows['val']:,} val, {rows['test']:,} test"
        )
    )
    if target := made.guess.source.get("target"):
        several = not isinstance(target, str)
        what = ", ".join(target) if several else target
        console.print(Text(f"  predicted {'are' if several else 'is'} '{plain(what, 200)}'"))
    for note in told["notes"]:
        console.print(Text(f"  {plain(note)}"))
    for name in made.written:
        console.print(Text(f"  wrote {plain(name)}"))
    for name in made.kept:
        console.print(Text(f"  kept  {plain(name)}"))
    said = {
        "there already": "was there already",
        "in git": "begun in this repository",
        "in a folder of git": "begun in this folder of the repository",
        "without git": "begun without git: `dvc exp` and `dvc metrics diff` need a repository",
    }
    console.print(Text(f"  DVC   {said[made.dvc]}"))
    console.print(Text("next  stillhouse run   (settings and why they are so: params.yaml)"))
