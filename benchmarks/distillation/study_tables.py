"""What the runs of `study.py` come to: their intervals, and the tables of the docs."""

import math
import statistics
from typing import Any

from scipy import stats

OURS = ("ours", "ours, halving")


def interval(values: list[float]) -> tuple[float, float, float]:
    mean = statistics.fmean(values)
    if len(values) < 2:
        return -math.inf, mean, math.inf
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values)
    return mean - half / len(values) ** 0.5, mean, mean + half / len(values) ** 0.5


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a side: seconds, how many times faster we are on the same seed, and accuracy; of the
    seeds that have all sides.
    """
    runs, rows = whole({"runs": runs}), []
    if not runs or "plain loop" not in runs[0]["sides"]:
        return []
    for side in runs[0]["sides"]:
        own = [run["sides"][side] for run in runs]
        over = {
            name: interval(
                [
                    it["seconds"] / run["sides"][name]["seconds"]
                    for it, run in zip(own, runs, strict=True)
                ]
            )
            for name in OURS
        }
        rows.append(
            {
                "side": side,
                "seconds": interval([it["seconds"] for it in own]),
                "faster": over["ours"],
                "faster, halving": over["ours, halving"],
                "accuracy": interval([it["accuracy"] for it in own]),
                "less accurate than plain": interval(
                    [
                        run["sides"]["plain loop"]["accuracy"] - it["accuracy"]
                        for it, run in zip(own, runs, strict=True)
                    ]
                ),
            }
        )
    return rows


def several(values: tuple[float, float, float], digits: int) -> str:
    """Return a mean with its interval; from one seed there is none."""
    low, mean, high = values
    told = f"{mean:.{digits}f}"
    return f"{told} [{low:.{digits}f}, {high:.{digits}f}]" if math.isfinite(low) else told


def whole(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the seeds that have been through all sides that any has."""
    every = {side for run in told["runs"] for side in run["sides"]}
    return [run for run in told["runs"] if every == set(run["sides"])]


def times(studies: list[dict[str, Any]]) -> str:
    """Return the docs' table of processor times: of every set that has been through all sides."""
    lines = [
        "| set, seeds | plain loop, s | torchdistill, s | ours, s | times faster than plain "
        "| than torchdistill | with halving, s | times faster than plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for told in studies:
        rows = {row["side"]: row for row in told["rows"]}
        plain, other = rows["plain loop"], rows.get("torchdistill 1.1.5")
        lines.append(
            f"| `{told['set']}`, {len(whole(told))} | {plain['seconds'][1]:.1f} "
            f"| {'' if other is None else format(other['seconds'][1], '.1f')} "
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
        rows, runs = {row["side"]: row for row in told["rows"]}, whole(told)
        accuracies = [
            several(rows[side]["accuracy"], 2) if side in rows else ""
            for side in ("plain loop", "torchdistill 1.1.5", *OURS)
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
