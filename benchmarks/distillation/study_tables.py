"""What the runs of `study.py` come to: their intervals, and the tables of the docs."""

import statistics
from typing import Any

from scipy import stats

OURS = ("ours", "ours, halving")


Interval = tuple[float | None, float, float | None]
PLAIN, OTHER = "plain loop", "torchdistill 1.1.5"


def interval(values: list[float]) -> Interval:
    """Return a mean with its 95 % interval of Student's t; one value alone has none."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return None, mean, None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values)
    return mean - half / len(values) ** 0.5, mean, mean + half / len(values) ** 0.5


def whole(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the seeds that have been through our sides and the plain loop."""
    return [run for run in runs if {*OURS, PLAIN} <= set(run["sides"])]


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a side, of the seeds that it has been through: seconds, how many times faster we are
    on the same seed, and accuracy.
    """
    rows = []
    for side in (*OURS, PLAIN, OTHER):
        mine = [run["sides"] for run in whole(runs) if side in run["sides"]]
        if not mine:
            continue
        own = [sides[side] for sides in mine]
        faster, halving = (
            interval([sides[side]["seconds"] / sides[name]["seconds"] for sides in mine])
            for name in OURS
        )
        less = [sides[PLAIN]["accuracy"] - sides[side]["accuracy"] for sides in mine]
        rows.append(
            {
                "side": side,
                "seeds": len(mine),
                "seconds": interval([it["seconds"] for it in own]),
                "faster": faster,
                "faster, halving": halving,
                "accuracy": interval([it["accuracy"] for it in own]),
                "less accurate than plain": interval(less),
            }
        )
    return rows


def several(values: Interval, digits: int) -> str:
    """Return a mean with its interval; from one seed there is none."""
    low, mean, high = values
    told = f"{mean:.{digits}f}"
    return told if low is None else f"{told} [{low:.{digits}f}, {high:.{digits}f}]"


def times(studies: list[dict[str, Any]]) -> str:
    """Return the docs' table of processor times: of every set that has been through all sides."""
    lines = [
        "| set, seeds | plain loop, s | torchdistill, s | ours, s | times faster than plain "
        "| than torchdistill | with halving, s | times faster than plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for told in studies:
        rows = {row["side"]: row for row in told["rows"]}
        plain, other = rows[PLAIN], rows.get(OTHER)
        seeds = "" if other is None or other["seeds"] == plain["seeds"] else other["seeds"]
        fewer = f" (of {seeds} seed)" if seeds else ""
        lines.append(
            f"| `{told['set']}`, {plain['seeds']} | {plain['seconds'][1]:.1f} "
            f"| {'' if other is None else format(other['seconds'][1], '.1f') + fewer} "
            f"| {rows[OURS[0]]['seconds'][1]:.2f} | {several(plain['faster'], 1)} "
            f"| {'' if other is None else several(other['faster'], 1)} "
            f"| {rows[OURS[1]]['seconds'][1]:.2f} | {several(plain['faster, halving'], 1)} |"
        )
    return "\n".join(lines)


def reached(studies: list[dict[str, Any]]) -> str:
    """Return the docs' table of what the studies came to, and of how hard the machine worked."""
    lines = [
        "| set | test accuracy, %: plain loop | torchdistill | ours | with halving "
        "| plain loop less ours, points | less ours with halving | GFLOP/s, share of the limit "
        "| load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for told in studies:
        rows, runs = {row["side"]: row for row in told["rows"]}, whole(told["runs"])
        accuracies = [
            several(rows[side]["accuracy"], 2) if side in rows else ""
            for side in (PLAIN, OTHER, *OURS)
        ]
        less = [several(rows[side]["less accurate than plain"], 2) for side in OURS]
        loads = [side["load"] for run in runs for side in run["sides"].values()]
        done = statistics.fmean(run["gflops"] for run in runs)
        lines.append(
            f"| `{told['set']}` | {' | '.join(accuracies)} | {' | '.join(less)} "
            f"| {done:.1f}, {100 * share(runs):.0f} % | {min(loads):.0f} to {max(loads):.0f} |"
        )
    return "\n".join(lines)


def share(runs: list[dict[str, Any]]) -> float:
    """Return the part of the machine's matrix limit that our study came to, mean over the seeds."""
    return statistics.fmean(run["gflops"] / run["matrix_limit_gflops"] for run in runs)
