"""What people see: Rich on stderr for what happens, on stdout for what was asked.

Nothing else prints.
"""

import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stillhouse.errors import Notice

if TYPE_CHECKING:
    from stillhouse.pipeline import Result
    from stillhouse.pipeline.publish import Published
    from stillhouse.pipeline.reproduce import Reproduction
    from stillhouse.receipt.same import Difference
    from stillhouse.release.drill import Drill
    from stillhouse_flows.outbox import Entry

WIDTH = 80
REFUSED = 10  # rows that are not answered and are told one by one
TOLD = 10  # labels whose threshold is told
SPACES = "\u00a0\u2009\u202f"  # typographic spaces are no control characters


def _err() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _out() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def plain(text: object, limit: int = 0) -> str:
    """Return text without control characters, so that data cannot move the cursor or colour the
    screen; cut at `limit`.
    """
    kept = "".join(" " if c in SPACES else c if c.isprintable() else "␣" for c in str(text))
    return kept if not limit or len(kept) <= limit else kept[: limit - 1] + "…"


def note(sentence: str) -> None:
    """Tell something by the way."""
    _err().print(f"[dim]{escape(plain(sentence))}[/dim]")


@contextlib.contextmanager
def notices() -> Iterator[None]:
    """Show notices as sentences while the body runs; other warnings stay as they are."""
    usual = warnings.showwarning

    def told(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, Notice):
            _err().print(f"  [yellow]![/yellow] {escape(plain(message))}")
        else:
            usual(message, category, *place, **rest)

    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.showwarning = told
        yield


def waiting(who: str) -> None:
    """Tell for whom we wait."""
    note(f"Waiting for {who} …")


def failure(message: str, *, json_only: bool) -> None:
    """Tell why a command ended; with --json also as an object on stdout."""
    _err().print(f"[bold red]✕[/bold red] {escape(plain(message))}")
    if json_only:
        sys.stdout.write(json.dumps({"error": message}, ensure_ascii=False) + "\n")


def step_done(result: "Result") -> None:
    """Show that a step is up to date."""
    state = {"ran": "ran", "restored": "restored from the cache", "unchanged": "unchanged"}[
        result.state
    ]
    _err().print(f"  [green]✓[/green] {result.name:<11} {result.seconds:7.1f} s   {state}")


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """Give a function (done, total, note) that shows a bar with ETA on a terminal, and nothing
    elsewhere.
    """
    console = _err()
    if not console.is_terminal:
        yield lambda done, total, note: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("    {task.description:<34}"),
        BarColumn(20),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def update(done: int, total: int, note: str) -> None:
            bar.update(
                task,
                completed=done,
                total=total,
                description=escape(plain(note, 34)),
                visible=done < total,
            )

        yield update


def published(found: "Published", *, json_only: bool) -> None:
    """Show the end of a promotion."""
    if json_only:
        sys.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False) + "\n")
    else:
        _out().print(escape(plain(found.sentence)))


def said(sentence: str) -> None:
    """Show one sentence as the answer."""
    _out().print(Text(plain(sentence)))


def outbox(channels: list[str], left: "Sequence[Entry]") -> None:
    """Show what waits to be told, and why."""
    console = _out()
    console.print(Text(f"channels  {', '.join(channels) or 'none configured'}"))
    console.print(Text(f"waiting   {len(left) or 'nothing'}"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for entry in left:
        why = entry.trouble or "not due yet"
        table.add_row(entry.channel, entry.message.kind, escape(plain(why)))
    if left:
        console.print(table)


def summary(published_as: "Published", receipt: Mapping[str, Any], seconds: float) -> None:
    """Show the closing table: what was decided, by which rules, and where the receipt is."""
    _receipt(receipt, published_as.version)
    console = _out()
    if published_as.outcome in ("unchanged", "held"):
        console.print(Text(plain(published_as.sentence)))
    console.print(
        Text(
            "receipt  artifacts/report/receipt.html   next  stillhouse receipt --open   "
            f"{seconds:.0f} s"
        )
    )


def named(values: Mapping[str, str]) -> None:
    """Show texts by name, a line each."""
    for name, value in values.items():
        _out().print(Text(f"{name:<8} {plain(value)}"), soft_wrap=True)


def _receipt(receipt: Mapping[str, Any], version: int | None) -> None:
    from stillhouse.receipt import summary as words

    console = _out()
    ascii_only = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
    for line in words.text(
        words.summary(dict(receipt), version=version), plain=ascii_only
    ).splitlines():
        console.print(Text(plain(line)), no_wrap=True, crop=True)


def status(found: Mapping[str, Any]) -> None:
    """Show who is champion."""
    console, champion = _out(), found["champion"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("model", escape(plain(found["model"])))
    table.add_row(
        "champion",
        f"version {champion['version']}, head {champion['head']}, since {champion['since']}"
        if champion
        else "none yet",
    )
    if champion:
        table.add_row("fingerprint", champion["sha256"][:16])
    table.add_row("challenger", f"version {found['challenger']}" if found["challenger"] else "none")
    table.add_row("previous", f"version {found['previous']}" if found["previous"] else "none")
    table.add_row("ledger", "{entries} entries, {effective} effective".format(**found["ledger"]))
    table.add_row(
        "aliases",
        "agree with the ledger"
        if found["aliases_agree"]
        else "differ from the ledger; the next run mends them",
    )
    table.add_row("stale", ", ".join(found["stale"]) or "nothing")
    for sentence in found["problems"]:
        table.add_row("[bold red]problem[/bold red]", escape(plain(sentence)))
    console.print(table)


def predictions(found: Mapping[str, Any]) -> None:
    """Show what the champion answered."""
    for sentence in found["notes"]:
        note(sentence)
    table = Table(box=None, header_style="dim")
    rows = [{"row": str(index), **_said(row)} for index, row in enumerate(found["rows"])]
    names = [name for name in rows[0] if name != "reason"] if rows else []
    for name in names:
        left = name in ("class", "labels") or (name == "row" and "row" in found["rows"][0])
        table.add_column(name, justify="left" if left else "right")
    for row in rows:
        table.add_row(*[escape(_cell(row[name], 80 if name == "labels" else 40)) for name in names])
    _out().print(table)
    if found.get("threshold"):
        note(_threshold(found["threshold"]))
    refused = [(row["row"], row["reason"]) for row in rows if "reason" in row]
    for index, reason in refused[:REFUSED]:
        note(f"Row {index} is not answered: {reason}.")
    if len(refused) > REFUSED:
        note(f"And {len(refused) - REFUSED} more rows are not; --json lists all.")


def _threshold(told: Mapping[str, Any]) -> str:
    if "labels" not in told:
        return (
            f"From a probability of {told['at']:.3g} on, chosen on val, a row is "
            f"called '{plain(told['class'], 40)}'."
        )
    each = [f"{plain(name, 40)} {at:.3g}" for name, at in told["labels"].items()]
    more = f", and {len(each) - TOLD} more" if len(each) > TOLD else ""
    return (
        "From these probabilities on, chosen on val, a row is given a label: "
        f"{', '.join(each[:TOLD])}{more}."
    )


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a line of a table: of several labels those that it has, each with how
    probable it is.
    """
    chances = row.get("probabilities")
    told = {name: value for name, value in row.items() if name != "probabilities"}
    if not chances:
        return told
    each = [f"{name} {chances[name]:.3f}" for name in row["labels"]]
    return {**told, "labels": ", ".join(each) or "none"}


def _cell(value: object, width: int = 40) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        if 0 < value < 0.0005:
            return f"{value:.1e}"
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.1f}"
    return plain(value, width)


def receipt(found: Mapping[str, Any], page: Path) -> None:
    """Show a receipt in a few lines, and where its page is."""
    _receipt(found, None)
    _out().print(Text(f"page  {plain(page)}"), soft_wrap=True)


def plugins(found: Mapping[str, Any]) -> None:
    """Show the plugins, a table a point."""
    console = _out()
    for point, entries in found.items():
        table = Table(
            box=None, title=point, title_justify="left", title_style="bold", header_style="dim"
        )
        for name in ("name", "from", "takes", "needs"):
            table.add_column(name)
        for entry in entries:
            table.add_row(
                entry["name"],
                escape(plain(entry["origin"], 24)),
                ", ".join(entry["accepts"]),
                ", ".join(entry["needs"]),
            )
        console.print(table)
        console.print()


def checks(found: list[dict[str, Any]]) -> None:
    """Show what the doctor saw."""
    console = _out()
    for check in found:
        mark = "[green]✓[/green]" if check["ok"] else "[red]✕[/red]"
        console.print(f"{mark} {check['name']:<18} {escape(plain(check['detail']))}")
        if not check["ok"]:
            console.print(f"  {'':<18} {escape(plain(check['fix']))}")


def history(found: Mapping[str, Any]) -> None:
    """Show who was champion when, the present one last, and the gate's words under each."""
    console = _out()
    if not found["champions"]:
        console.print("No version was champion yet: `stillhouse run` makes one.")
    for reign in found["champions"]:
        until = reign["until"] or "today"
        console.print(
            Text(f"version {reign['version']}", style="bold")
            + Text(f"  {_day(reign['since'])} to {_day(until)}   {_came(reign)}")
        )
        if reign["why"]:
            console.print(Text(plain(reign["why"]), style="dim"))
    if found["without_effect"]:
        console.print(Text(f"{found['without_effect']} entries without effect", style="dim"))
    for problem in found["problems"]:
        console.print(Text(f"✕ {plain(problem)}", style="red"))


def _day(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _came(reign: Mapping[str, Any]) -> str:
    """Say how a champion came to be one, in a few words."""
    how = {"promote": "promoted", "rollback": "brought back by a rollback", "adopt": "adopted"}
    over = f" over version {reign['replaces']}" if reign["replaces"] else ""
    by = f" by {plain(reign['by'], 40)}" if reign["by"] else ""
    return f"{how[reign['kind']]}{over}{by}"


def drilled(found: "Drill") -> None:
    """Show that a rollback would work."""
    _out().print(
        Text(
            f"Version {found.previous} can come back: {found.files} files whole, loaded in a fresh "
            f"process, its answer off by {found.max_error:.2g}, {found.seconds:.1f} s in all. "
            f"Nothing was changed. To do it: stillhouse rollback --from {found.head}"
        )
    )


def reproduced(found: "Reproduction") -> None:
    """Show whether a version could be made again, and what differs."""
    console = _out()
    console.print(
        Text(
            f"Version {found.version} was made again from commit {found.commit[:12]}: "
            f"{'the same student' if found.fingerprint == found.again else 'another student'}, "
            f"{found.compared.values - len(found.compared.differences)} of "
            f"{found.compared.values} values equal, {found.seconds:.0f} s."
        )
    )
    if not found.committed:
        console.print("It was first made with changes that were not committed.")
    _differences("differs", found.compared.differences)
    _differences("not what it was", found.compared.causes)
    if found.folder:
        console.print(Text(f"the copy  {plain(found.folder)}"), soft_wrap=True)


def _differences(title: str, found: "Sequence[Difference]", most: int = 12) -> None:
    if not found:
        return
    from stillhouse.receipt.same import telling_first

    table = Table(box=None, header_style="dim")
    for name in (title, "then", "now"):
        table.add_column(name)
    for difference in telling_first(found)[:most]:
        table.add_row(
            escape(plain(difference.name, 44)),
            escape(plain(difference.then, 15)),
            escape(plain(difference.now, 15)),
        )
    _out().print(table)
    if len(found) > most:
        _out().print(f"and {len(found) - most} more (--json lists them)")
