"""Promotion under fire: many processes promote at one instant over one champion, on one MLflow;
some are killed on the way, and between them and a server a proxy loses, repeats and delays.
"""

import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from faults.tally import TALLY
from release import house
from servers.proxy import Chaos, Proxy

from stillhouse import failpoints
from stillhouse.environment import Place
from stillhouse.errors import StaleHead, StillhouseError
from stillhouse.release.aliases import agree, reconcile
from stillhouse.release.ledger import State
from stillhouse.release.promote import promote, rollback
from stillhouse.release.register import register
from stillhouse.release.registry import Registry
from stillhouse.tracking import Tracker
from stillhouse.workspace import Workspace
from stillhouse_flows import databases

POINTS = (
    "release.before_append",
    "release.after_append",
    "release.before_alias",
    "release.after_alias",
)
MODEL = "under-fire"
MURDERED = 0.4  # share of promoters that are killed by a clock
DIES = 0.6  # share of promoters that are armed; those that only read are never struck
HANG = 150  # seconds
Act = Callable[[Registry], Any]


@dataclass
class Range:
    """Where the shots fall: one model in one MLflow.

    Attributes:
        root: A workspace.
        uri: MLflow's; a proxy's where there is one.
        proxy: Between the processes and the server, or None.
        share: Of the requests that it strikes while a round lasts.
        lot: Where chance comes from.
        spread: Seconds, at most, between two processes that are killed wherever they are.
        timeout: Seconds after which a client gives up an answer.
    """

    root: Path
    uri: str
    proxy: Proxy | None = None
    share: float = 0.25
    lot: random.Random = field(default_factory=random.Random)
    spread: float = 0.01
    timeout: float = 5.0
    killed: int = 0
    told: "Counter[str]" = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry.open(place(self.root, self.uri), MODEL)


def sqlite(root: Path, lot: random.Random) -> Range:
    databases.seed(root)
    return Range(root, house.place(root).tracking_uri, lot=lot)


def behind(proxy: Proxy, root: Path, lot: random.Random) -> Range:
    return Range(root, proxy.url, proxy, lot=lot, spread=0.1)


def place(root: Path, uri: str) -> Place:
    files = None if uri.startswith("http") else root / ".stillhouse" / "mlartifacts"
    return Place(root, uri, files, None, None, 1)


def enroll(where: Range, seed: int) -> int:
    """Register a student and return its version."""
    candidate = house.student(seed)
    at = place(where.root, where.uri)
    tracker = Tracker.open(at, Workspace(where.root), MODEL, f"key-{candidate.fingerprint[:8]}")
    registry = Registry.open(at, MODEL)
    ids = {"experiment": tracker.experiment, "run_id": tracker.run_id}
    done = register(registry, Workspace(where.root), candidate, **ids)
    tracker.finish()
    return done.version.number


# --- in processes of their own ------------------------------------------------------------------


def promotes(version: int, head: int) -> Act:
    return partial(promote, version=version, head=head, evidence=f"{version:064x}")


def rolls_back(head: int) -> Act:
    return partial(rollback, head=head)


def shoot(root: str, uri: str, act: Act, go: str, points: str, timeout: float, told: str) -> None:
    """Act when all are told to, and leave a word of how it ended: what it was told, for us to hold
    against the ledger.
    """
    os.environ.update(
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
        MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="1",
        MLFLOW_HTTP_REQUEST_BACKOFF_JITTER="0",
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(int(timeout)),
    )
    registry = Registry.open(place(Path(root), uri), MODEL)
    Path(f"{told}.ready").touch()
    # A file, not an event: a process killed as it wakes would keep an event's lock for ever.
    while not Path(go).exists():
        time.sleep(0.002)
    failpoints.arm(points)
    try:
        done = act(registry)
        word = f"ok {done.version} {done.head}"
    except StaleHead:
        word = "refused"
    except StillhouseError as error:
        word = f"unknown {error}"
    Path(told).write_text(word)
    os._exit(0)


# --- a round ------------------------------------------------------------------------------------


def rounds(where: Range, promoters: int, number: int, targets: list[int]) -> list[str]:
    """Fire so many rounds, each over the champion that the last one left; return what is wrong."""
    broken = []
    for at in range(number):
        began, before = time.monotonic(), where.registry.state()
        acts = [promotes(where.lot.choice(targets), before.head) for _ in range(promoters)]
        words, hung = volley(where, acts)
        broken += [f"round {at}: {said}" for said in judged(where, before, words, hung)]
        where.seconds.append(round(time.monotonic() - began, 1))
        TALLY.recoveries += 1
    return broken


def volley(where: Range, acts: list[Act]) -> tuple[list[tuple[Act, str]], int]:
    """Let all act at one instant, under fire; return what those who lived were told, and how many
    hung.
    """
    context = house.forks()
    folder = where.root / "told"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    go, processes = where.root / "go", []
    go.unlink(missing_ok=True)
    if where.proxy is not None:
        where.proxy.chaos = Chaos(where.lot, where.share, seconds=where.timeout + 1)
    struck = Counter(where.proxy.struck) if where.proxy else Counter()
    for number, act in enumerate(acts):
        point = f"{where.lot.choice(POINTS)}=kill" if where.lot.random() < DIES else ""
        words = (
            str(where.root),
            where.uri,
            act,
            str(go),
            point,
            where.timeout,
            str(folder / f"{number}"),
        )
        processes.append(context.Process(target=shoot, args=words))
        processes[-1].start()
    _ready(folder, len(acts))
    go.touch()
    for process in where.lot.sample(processes, int(len(processes) * MURDERED)):
        time.sleep(where.lot.random() * where.spread)  # and some wherever they are
        process.kill()
    codes = Counter(finished(process) for process in processes)
    if where.proxy is not None:
        where.proxy.chaos = None
        where.proxy.settle()
        for kind, count in (where.proxy.struck - struck).items():
            TALLY.fault(f"network {kind}", count=count)
    where.killed += codes[-9]
    TALLY.fault("promoter killed", count=codes[-9])
    said = [(acts[int(p.name)], p.read_text()) for p in sorted(folder.iterdir())]
    where.told.update(word.split()[0] for _, word in said)
    return said, codes[124]


def _ready(folder: Path, number: int) -> None:
    until = time.monotonic() + HANG
    while len(list(folder.glob("*.ready"))) < number:
        assert time.monotonic() < until, "the processes did not start"
        time.sleep(0.05)
    for mark in folder.glob("*.ready"):
        mark.unlink()


def finished(process: BaseProcess) -> int:
    """Wait for a process and return how it ended; −9 is killed, 124 had to be."""
    process.join(HANG)
    if process.exitcode is None:
        process.kill()
        process.join()
        return 124
    return process.exitcode


def judged(where: Range, before: State, words: list[tuple[Act, str]], hung: int) -> list[str]:
    """Return what does not hold after a round; the aliases are reconciled once, and looked at."""
    registry = where.registry
    state = registry.state()
    new = state.effective[len(before.effective) :]
    happened = {f"ok {e.target} {e.entry.number}" for e in new}
    ok = {word for _, word in words if word.startswith("ok")}
    one = len(new) <= 1 and (bool(new) or not words)
    broken = _held("I1", [] if one else [f"{len(new)} effects, {len(words)} lived to tell"])
    broken += _held(
        "I4", [f"{e} is not over {before.head}" for e in new if e.link.parent != before.head]
    )
    broken += _held(
        "I11", [f"told {ok - happened}, effective is {happened}"] if ok - happened else []
    )
    mine = [act for act, word in words if word == "refused" and _meant(act, new)]
    broken += _held(
        "I11", [f"told refused, though its own intent took effect: {mine}"] if mine else []
    )
    unclear = [word for _, word in words if word.startswith("unknown")]
    broken += _held("I11", [word for word in unclear if not _honest(word, happened)])
    broken += _held("I9", [*state.odd, *(f"entry {n} is missing" for n in state.holes)])
    ever = {e.target for e in state.effective}
    champion = registry.aliases().get("champion")
    broken += _held("I3", [] if champion in {*ever, None} else [f"the alias names {champion}"])
    reconcile(registry)
    there = registry.aliases()
    broken += _held("I5", [] if agree(state, there) else [f"after a reconcile: {there}"])
    return broken + _held("I14", [f"{hung} hang"] if hung else [])


def _honest(word: str, happened: set[str]) -> bool:
    """Whether a word about a silent server claims no more than is so."""
    claim = re.search(r"Version (\d+) is the champion \(head (\d+)\)", word)
    if claim is not None:
        return f"ok {claim[1]} {claim[2]}" in happened
    return "does not answer" in word and ("Nothing was written" in word or "not known" in word)


def _meant(act: Act, new: tuple[Any, ...]) -> bool:
    wanted = act.keywords.get("version")  # type: ignore[attr-defined]
    return bool(new) and (wanted is None or wanted == new[0].target)


def _held(name: str, broken: list[str]) -> list[str]:
    return TALLY.held(name, broken)
