"""What has to hold of a project whatever happened to it: one function an invariant, each returning
a sentence for every breach.

They look at files, at MLflow's database and at processes, past the code that wrote them wherever
that can be done."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from faults.tally import TALLY
from integration.house import House

from stillhouse.errors import StillhouseError
from stillhouse.release import ledger
from stillhouse.release.aliases import agree, reconcile
from stillhouse.release.check import examine
from stillhouse.release.ledger import Entry
from stillhouse.workspace import Workspace, sha256

CLOCKS = (".timing.json", "report/receipt.json", "report/receipt.html")  # what clocks go into
CANARY = "canary-5up3r-s3cr3t"
KEPT = (".ses",)  # onnxruntime counts its sessions there
LONGEST = 240.0  # seconds that one command may take


@dataclass(frozen=True)
class Science:
    """What a run without any fault came to: what must come out bit for bit after any.

    Attributes:
        files: sha256 of every clock-free file under artifacts/, by name.
        outs: What dvc.lock records of each stage's clock-free outputs.
        student: The student's fingerprint.
    """

    files: Mapping[str, str]
    outs: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, str]


def science(house: House) -> Science:
    """Return what a finished project holds, clocks left out."""
    files = {name: digest for name, digest in house.hashes().items() if not name.endswith(CLOCKS)}
    lock = yaml.safe_load((house.root / "dvc.lock").read_text())["stages"]
    outs = {
        name: {e["path"]: e["md5"] for e in stage["outs"] if not e["path"].endswith(CLOCKS)}
        for name, stage in lock.items()
    }
    return Science(
        files, outs, {name: sha256(house.root / name) for name in ("params.yaml", "dvc.yaml")}
    )


@dataclass
class Case:
    """A project after a fault and the run that went on from it.

    Attributes:
        house: The project.
        unhurt: What a run without faults came to.
        told: The last command's JSON answer and exit code.
        before: The ledger's entries before the fault.
        seconds: How long each command took.
    """

    house: House
    unhurt: Science
    told: tuple[Mapping[str, Any], int] = field(default_factory=lambda: ({}, 0))
    before: Sequence[Entry] = ()
    seconds: Sequence[float] = ()

    @property
    def state(self) -> ledger.State:
        return self.house.ledger()

    def database(self, name: str, question: str) -> list[tuple[Any, ...]]:
        """Ask a sqlite file under .stillhouse/ directly, past the code that wrote it."""
        path = self.house.root / ".stillhouse" / name
        if not path.is_file():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(question).fetchall()


def i1_one_champion(case: Case) -> list[str]:
    state = case.state
    champions = case.database(
        "mlflow.db",
        "select count(*) from registered_model_aliases where alias = 'champion' and name not "
        "like '%--ledger'",
    )
    broken = [] if state.champion is not None else ["the ledger has no champion"]
    return broken + [f"{n} aliases are called champion" for (n,) in champions if n != 1]


def i2_the_champion_answers_in_a_fresh_process(case: Case) -> list[str]:
    try:
        examine(case.house.registry(), Workspace(case.house.root), case.state.champion or 0)
    except StillhouseError as error:
        return [f"the champion does not hold: {error}"]
    return []


def i3_an_alias_names_only_what_was_champion(case: Case) -> list[str]:
    ever, aliases = {e.target for e in case.state.effective}, case.house.registry().aliases()
    named = {name: aliases[name] for name in ("champion", "previous") if name in aliases}
    return [
        f"{name} is version {number}, which was never champion"
        for name, number in named.items()
        if number not in ever
    ]


def i4_a_promotion_took_effect_over_the_champion_that_its_gate_saw(case: Case) -> list[str]:
    broken, last = [], 0
    for effective in case.state.effective:
        if effective.link.parent != last:
            broken.append(
                f"entry {effective.entry.number} took effect over {last}, though it names "
                f"{effective.link.parent}"
            )
        storage = Path(
            case.house.registry()
            .entry_storage(effective.entry.number)
            .removeprefix("file://")
            .replace("%20", " ")
        )
        over = storage / "evidence" / effective.link.over
        about = (
            json.loads(over.read_bytes())
            if effective.link.kind == "promote" and over.is_file()
            else None
        )
        if about is not None and about["head"] != last:
            broken.append(
                f"entry {effective.entry.number} was judged over head {about['head']}, and "
                f"took effect over {last}"
            )
        last = effective.entry.number
    return broken


def i5_after_one_reconcile_the_aliases_are_the_ledgers(case: Case) -> list[str]:
    registry = case.house.registry()
    reconcile(registry)
    return (
        []
        if agree(registry.state(), registry.aliases())
        else [f"aliases {registry.aliases()}, ledger {registry.state().champion}"]
    )


def i6_everything_is_bit_for_bit_what_an_unhurt_run_makes(case: Case) -> list[str]:
    now = science(case.house)
    other = sorted(
        name
        for name in {*now.files, *case.unhurt.files}
        if now.files.get(name) != case.unhurt.files.get(name)
    )
    recorded = sorted(
        name
        for name in {*now.outs, *case.unhurt.outs}
        if now.outs.get(name) != case.unhurt.outs.get(name)
    )
    return [f"{name} has other bytes" for name in other] + [
        f"dvc.lock records other outputs of {name}" for name in recorded
    ]


def i7_every_trial_is_in_one_final_state(case: Case) -> list[str]:
    broken = []
    told = json.loads((case.house.root / "artifacts/tune/trials.json").read_bytes())["studies"]
    for arm, study in told.items():
        numbers, states = (
            [t["number"] for t in study["trials"]],
            {t["state"] for t in study["trials"]},
        )
        if numbers != list(range(len(numbers))) or not states <= {"complete", "pruned", "failed"}:
            broken.append(f"the study of {arm} has trials {numbers} in states {sorted(states)}")
    tagged = (
        "select t.value from tags t join runs r on r.run_uuid = t.run_uuid where t.key = "
        "'stillhouse.child' and r.lifecycle_stage = 'active'"
    )
    counted = Counter(name for (name,) in case.database("mlflow.db", tagged))
    wanted = {f"{arm}/trial-{t['number']}" for arm, study in told.items() for t in study["trials"]}
    twice = [f"{name} is told {n} times" for name, n in counted.items() if n > 1]
    return (
        broken + twice + [f"MLflow was not told {name}" for name in sorted(wanted - set(counted))]
    )


def i8_a_fingerprint_has_one_version(case: Case) -> list[str]:
    counted = Counter(
        v.fingerprint for v in case.house.registry().versions() if v.duplicate_of is None
    )
    return [f"{n} versions have the fingerprint {name[:8]}" for name, n in counted.items() if n > 1]


def i9_the_audit_chain_only_grows_and_verifies(case: Case) -> list[str]:
    entries = case.house.registry().entries()
    state = ledger.fold(entries, case.house.registry().model)
    kept = [(e.number, e.source, e.run_link) for e in entries[: len(case.before)]] == [
        (e.number, e.source, e.run_link) for e in case.before
    ]
    return (
        ([] if kept else ["an entry was changed or is gone"])
        + [f"entry {n} is missing" for n in state.holes]
        + list(state.odd)
    )


def i10_every_file_is_whole_and_inputs_are_untouched(case: Case) -> list[str]:
    root = case.house.root
    broken = [
        f"{name} was changed"
        for name, digest in case.unhurt.inputs.items()
        if sha256(root / name) != digest
    ]
    for stage in yaml.safe_load((root / "dvc.lock").read_text())["stages"].values():
        for out in stage["outs"]:
            path = root / out["path"]
            if not path.exists():
                broken.append(f"{out['path']} is missing")
            elif (
                path.is_file()
                and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != out["md5"]
            ):
                broken.append(f"{out['path']} is not what dvc.lock recorded")
    store = root / "artifacts" / "knowledge" / "store"
    for shard in json.loads((store / "manifest.json").read_bytes())["shards"]:
        if sha256(store / shard["file"]) != shard["sha256"]:
            broken.append(f"shard {shard['file']} is not what its manifest says")
    return broken


def i11_what_was_told_is_true(case: Case) -> list[str]:
    told, code = case.told
    if not told:
        return []
    if code != {"promoted": 0, "unchanged": 0, "held": 3, "rejected": 3}.get(told["outcome"], 1):
        return [f"told {told['outcome']} with exit code {code}"]
    if told["outcome"] in ("promoted", "unchanged") and told["version"] != case.state.champion:
        return [f"told version {told['version']}, the ledger says {case.state.champion}"]
    return []


def i12_nothing_is_left_behind_and_no_secret_is_out(case: Case) -> list[str]:
    root = case.house.root
    broken = [f"a process still runs: {line}" for line in case.house.left_running()]
    broken += [
        f"{path.relative_to(root)} is left"
        for path in root.rglob("*")
        if path.suffix in (".part", ".tmp")
    ]
    broken += [
        f"{p.relative_to(root)} is left"
        for n in ("new", "old", "work", "tmp", "stage")
        for p in (root / ".stillhouse" / n).rglob("*")
        if p.is_file() and p.name not in KEPT
    ]
    rwlock = root / ".dvc" / "tmp" / "rwlock"
    held = json.loads(rwlock.read_text() or "{}") if rwlock.is_file() else {}
    broken += [
        f"DVC's rwlock still names {len(held[kind])} paths to {kind}"
        for kind in ("read", "write")
        if held.get(kind)
    ]
    running = case.database(
        "mlflow.db", "select name from runs where status = 'RUNNING' and lifecycle_stage = 'active'"
    )
    broken += [f"the MLflow run {name} is RUNNING" for (name,) in running]
    running = case.database(
        "prefect/prefect.db",
        "select name, state_type from flow_run where state_type in ('RUNNING', 'PENDING', "
        "'CANCELLING')",
    )
    broken += [f"Prefect's flow run {name} is {state}" for name, state in running]
    running = case.database(
        "prefect/prefect.db",
        "select name, state_type from task_run where state_type in ('RUNNING', 'PENDING')",
    )
    broken += [f"Prefect's task run {name} is {state}" for name, state in running]
    return broken + _leaks(root)


def _leaks(root: Path) -> list[str]:
    needle = CANARY.encode()
    places = [
        p
        for p in root.rglob("*")
        if p.is_file() and not p.is_symlink() and p.name != ".env" and p.stat().st_size < 50_000_000
    ]
    return [
        f"the secret stands in {p.relative_to(root)}" for p in places if needle in p.read_bytes()
    ]


def i13_spooled_metrics_arrive_once(case: Case) -> list[str]:
    broken = [
        f"{p.name} still waits in the spool"
        for p in (case.house.root / ".stillhouse/spool").glob("*.jsonl")
    ]
    parent = "not in (select run_uuid from tags where key = 'mlflow.parentRunId')"
    question = (
        f"select key, count(*) from metrics where run_uuid {parent} group by run_uuid, key, "
        "timestamp, value having count(*) > 1"
    )
    twice = case.database("mlflow.db", question)
    return broken + [f"{key} was told {n} times at one moment" for key, n in twice]


def i14_nothing_hangs(case: Case) -> list[str]:
    return [f"a command took {s:.0f} s" for s in case.seconds if s > LONGEST]


INVARIANTS: tuple[Callable[[Case], list[str]], ...] = (
    i1_one_champion,
    i2_the_champion_answers_in_a_fresh_process,
    i3_an_alias_names_only_what_was_champion,
    i4_a_promotion_took_effect_over_the_champion_that_its_gate_saw,
    i5_after_one_reconcile_the_aliases_are_the_ledgers,
    i6_everything_is_bit_for_bit_what_an_unhurt_run_makes,
    i7_every_trial_is_in_one_final_state,
    i8_a_fingerprint_has_one_version,
    i9_the_audit_chain_only_grows_and_verifies,
    i10_every_file_is_whole_and_inputs_are_untouched,
    i11_what_was_told_is_true,
    i12_nothing_is_left_behind_and_no_secret_is_out,
    i13_spooled_metrics_arrive_once,
    i14_nothing_hangs,
)


def breaches(case: Case) -> list[str]:
    """Return what is broken of all fourteen, counted; an empty list is what a test asks for."""
    TALLY.recoveries += 1
    found = []
    for invariant in INVARIANTS:
        name = f"I{invariant.__name__[1:].partition('_')[0]}"
        found += [f"{name}: {sentence}" for sentence in TALLY.held(name, invariant(case))]
    return found


def stopped(pid: int) -> bool:
    """Whether a process was stopped by SIGSTOP."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        )  # "t" is a tracer at work
    except OSError:  # it ended meanwhile
        return False
