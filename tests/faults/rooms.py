"""The smallest work of each room that writes: what a process of its own does until a failpoint or a
syscall ends it. Done again, it gives the same words.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from faults import flow
from faults.invariants import stopped
from optuna.distributions import FloatDistribution
from release import house
from torch import Tensor
from training.blobs import blobs
from training.killed import learned
from tuning.problems import bowl

from stillhouse import failpoints
from stillhouse.errors import StillhouseError, short_of_memory
from stillhouse.failpoints import STEPS
from stillhouse.knowledge.bucket import bucket
from stillhouse.knowledge.build import build
from stillhouse.knowledge.shared import Sharing
from stillhouse.knowledge.store import Knowledge
from stillhouse.pipeline.body import run_body
from stillhouse.release.registry import Registry
from stillhouse.steps.step import Job, Step, silent
from stillhouse.teachers.teacher import Oracle
from stillhouse.tracking import Tracker
from stillhouse.tracking.spool import waiting as tracking_waits
from stillhouse.tracking.tracker import Child
from stillhouse.tuning.halving import Halving
from stillhouse.tuning.study import Plan, search
from stillhouse.workspace import Workspace, dump_json, sha256, sha256_bytes, write_atomic
from stillhouse_flows import databases, outbox

SPACE = {"x": FloatDistribution(0, 10)}
PLAN = Plan("student", SPACE, 4, 2, ("val/accuracy",), "key", Halving(0.25, 0.5))
MODEL = "small"


def writer(folder: Path) -> str:
    """Three files that were there before, written anew: each is its old self or its new one."""
    for name in ("one", "two", "three"):
        write_atomic(folder / name, f"new {name}\n".encode() * 3000)
    return sha256(folder)


def checkpoint(folder: Path) -> str:
    return learned(folder / "checkpoint.safetensors")


class Doubling(Oracle):
    """A teacher that asks nobody."""

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        return inputs[:, :3] * 2


def knowledge(folder: Path) -> str:
    data, oracle = blobs(40), Doubling()
    build(
        oracle,
        data,
        teacher="t" * 64,
        work=folder / "work",
        write=lambda name, b: write_atomic(folder / "store" / name, b),
        shard_rows=16,
    )
    opened = Knowledge.open(folder / "store", data, oracle, teacher="t" * 64)
    return sha256_bytes(opened.logits().numpy().tobytes()) + sha256(folder / "store")


def sharing(folder: Path) -> str:
    """Ask a teacher where machines share its answers, and read them again from there."""
    (folder / "bucket").mkdir(exist_ok=True)
    data, oracle, words = blobs(40), Doubling(), []
    for name in ("us", "them"):
        build(
            oracle,
            data,
            teacher="t" * 64,
            work=folder / name,
            write=lambda file, b, name=name: write_atomic(folder / f"{name}.store" / file, b),
            shard_rows=16,
            shared=Sharing(bucket(f"file://{folder}/bucket"), name),
        )
        words.append(sha256(folder / f"{name}.store"))
    return " ".join(words)


def journal(folder: Path) -> str:
    return repr(search(PLAN, bowl, folder / "study"))


def _two_files(job: Job) -> dict[str, float]:
    job.files.write_json("prepare/data.json", {"new": True})
    job.files.write_bytes("prepare/rows", b"new" * 1000)
    return {"data/rows": 3.0}


STEP = Step("prepare", _two_files, (), ("data.json", "rows"), ("prepare",), lambda params: None)


def body(folder: Path) -> str:
    """A step's files, put into place all at once."""
    run_body(STEP, Workspace(folder), params={}, place=house.place(folder), progress=silent)
    return "".join(
        sha256(folder / "artifacts" / "prepare" / name)
        for name in ("data.json", "rows", "metrics.json")
    )


def tracking(folder: Path) -> str:
    """Tell MLflow a retrain with two trials."""
    tracker = Tracker.open(house.place(folder), Workspace(folder), MODEL, "one key", name="retrain")
    tracker.log_step("distill", {"val/accuracy": 0.5})
    tracker.log_children([Child(f"student/trial-{n}", {"val/accuracy": n / 4}) for n in (1, 2)])
    tracker.finish()
    return _runs(folder, tracker.experiment)


def spooled(folder: Path) -> str:
    """Lose MLflow in the middle of a retrain, and tell it all the next time."""
    tracker = Tracker.open(house.place(folder), Workspace(folder), MODEL, "one key", name="retrain")
    tracker.lost = True
    tracker.log_children([Child("student/trial-1", {"val/accuracy": 0.25})])
    tracker.log_step("distill", {"val/accuracy": 0.5})
    tracker.replay()
    tracker.finish()
    assert tracking_waits(Workspace(folder)) == []
    return _runs(folder, tracker.experiment)


def _runs(folder: Path, experiment: str) -> str:
    registry = Registry.open(house.place(folder), MODEL)
    runs = registry.ask(lambda: registry.mlflow.search_runs([experiment]))
    return repr(sorted((str(r.info.run_name), r.info.status, r.data.metrics) for r in runs))


def recorded(folder: Path) -> str:
    """Bring the first step of a project up to date; the words tell its files and what DVC says."""
    from stillhouse.pipeline import Project

    os.chdir(folder)
    project = Project.open(folder)
    with project.held("a test"):
        project.lock()
        project.bring_up_to_date("prepare")
        stale = project.stages.stale(["prepare"])
    files = sorted((folder / "artifacts" / "prepare").rglob("*"))
    return repr(
        (stale, [(p.name, sha256(p)) for p in files if p.is_file() and ".timing" not in p.name])
    )


def release(folder: Path) -> str:
    """Register and promote over nothing; the words tell the whole registry."""
    done = house.release(folder, MODEL, house.student(7))
    registry = Registry.open(house.place(folder), MODEL)
    state = registry.state()
    return repr(
        (
            done.version,
            state.champion,
            len(state.effective),
            len(registry.versions()),
            registry.aliases(),
            state.odd,
            state.holes,
        )
    )


def append(folder: Path) -> str:
    """Promote a version that is registered already: append and materialise, nothing else."""
    from stillhouse.release.promote import promote

    registry = Registry.open(house.place(folder), MODEL)
    done = promote(registry, 1, 0, evidence="e" * 64)
    state = registry.state()
    return repr(
        (
            done.version,
            state.champion,
            len(state.effective),
            registry.aliases(),
            state.odd,
            state.holes,
        )
    )


def retrain(folder: Path) -> str:
    """All that `stillhouse run` does but for Prefect, whose tasks only call it; the words are the
    answer of `--json`.
    """
    from stillhouse import environment, tracking
    from stillhouse.pipeline import Project, publish

    os.chdir(folder)
    place = environment.prepare(folder)
    databases.seed(folder)
    said: list[str] = []
    project = Project.open(folder, told=said.append)
    with project.held("a test"):
        settled = None if project.stale() else publish.settled(project)
        if (
            settled is not None
            and not tracking.abandoned(place, project.model)
            and len(list(project.unchanged())) == len(project.steps)
        ):
            return json.dumps({**settled.as_dict(), "states": {}, "said": said})
        with publish.tracked(project):
            states = {name: project.bring_up_to_date(name).state for name in project.steps}
            published = publish.settled(project) or publish.promote(
                project, publish.register(project)
            )
    return json.dumps({**published.as_dict(), "states": states, "said": said})


class Received:
    """A channel that ends in a folder: the same key twice is one file."""

    name = "received"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, entry: outbox.Entry) -> None:
        write_atomic(self.folder / entry.key, entry.message.text.encode())


def told(folder: Path) -> str:
    """Three messages written down, and sent."""
    workspace, ways = Workspace(folder), {"received": Received(folder / "received")}
    for head in range(3):
        said = outbox.Message("promoted", MODEL, f"head {head}", f"Head {head}.", head)
        outbox.put(workspace, said, ways)
    left = outbox.deliver(workspace, ways, now=True)
    return sha256(folder / "received") + "".join(entry.key for entry in left)


def prepared(name: str, folder: Path) -> None:
    """Put into a folder what was there before the work."""
    if name not in PROJECTS:
        folder.mkdir(parents=True)
    if name in ("tracking", "spooled", "release", "append"):
        databases.seed(folder)
    if name == "writer":
        for file in ("one", "two", "three"):
            write_atomic(folder / file, b"old")
    if name == "body":
        write_atomic(folder / "artifacts/prepare/data.json", dump_json({"old": True}))
        write_atomic(folder / "artifacts/prepare/rows", b"old")
    if name == "append":
        house.enroll(folder, MODEL, house.student(1))
    if name == "repaired":
        assert finished(start("repaired", folder, "tuning.after_tell=kill@2")) == -9
        with (folder / "study" / "journal.log").open("ab") as file:
            file.write(b'{"op_code": 4, "wor')
    if name in PROJECTS:
        flow.small(folder)
    if name in ("restored", "spoilt", "mended"):
        assert finished(start("recorded", folder)) == 0
    if name == "restored":
        shutil.rmtree(folder / "artifacts")
    if name == "spoilt":
        spoil(folder, "artifacts/prepare/train.safetensors")
    if name == "mended":
        (folder / ".dvc/tmp/rwlock").write_text('{"write": {"/to')


def spoil(folder: Path, name: str, *, cache: bool = True) -> None:
    """Change one byte of a result, and of what DVC's cache keeps of it."""
    data = bytearray((folder / name).read_bytes())
    every = (folder / ".dvc/cache").rglob("*")
    kept = [p for p in every if cache and p.is_file() and p.read_bytes() == data]
    assert len(kept) == int(cache)
    data[-1] ^= 1
    for path, mode in ((folder / name, 0o600), *((path, 0o444) for path in kept)):
        path.chmod(0o600)
        path.write_bytes(data)
        path.chmod(mode)  # read-only is what DVC takes for whole


def torn(name: str, folder: Path) -> list[str]:
    """Return what readers can see that is neither old nor new; asked after a fault, before anything
    is mended.
    """
    broken = []
    if name == "writer":
        allowed = {
            "one": b"new one\n" * 3000,
            "two": b"new two\n" * 3000,
            "three": b"new three\n" * 3000,
        }
        broken = [
            f"{n} is torn"
            for n, new in allowed.items()
            if (folder / n).read_bytes() not in (b"old", new)
        ]
    if name == "body" and (folder / "artifacts/prepare").exists():
        seen = (
            {(folder / "artifacts/prepare" / n).read_bytes()[:3] for n in ("rows",)},
            (folder / "artifacts/prepare/data.json").read_bytes(),
        )
        broken = (
            []
            if seen in (({b"old"}, dump_json({"old": True})), ({b"new"}, dump_json({"new": True})))
            else [f"the step's files are mixed: {seen}"]
        )
    return broken


ROOMS: dict[str, Callable[[Path], str]] = {
    f.__name__: f
    for f in (
        *(writer, checkpoint, knowledge, sharing, journal, body, recorded),
        *(tracking, spooled, release, append, retrain, told),
    )
}
ROOMS |= {"repaired": journal, "restored": recorded, "spoilt": recorded, "mended": recorded}
PROJECTS = ("recorded", "restored", "spoilt", "mended")
# The room in which a point is met, by its name or by the word before its dot.
POINTS = {
    "workspace": "writer",
    "workspace.before_remove": "body",
    "workspace.after_remove": "body",
    "training": "checkpoint",
    "knowledge": "knowledge",
    "knowledge.before_lease": "sharing",
    "knowledge.after_lease": "sharing",
    "knowledge.before_share": "sharing",
    "knowledge.after_share": "sharing",
    "tuning": "journal",
    "tuning.before_repair": "repaired",
    "tuning.after_repair": "repaired",
    "pipeline": "body",
    "pipeline.before_inputs": "recorded",
    "pipeline.before_code_lock": "recorded",
    "pipeline.after_code_lock": "recorded",
    "pipeline.before_commit": "recorded",
    "pipeline.before_dump": "recorded",
    "pipeline.before_mend": "mended",
    "pipeline.after_mend": "mended",
    "pipeline.before_restore": "restored",
    "pipeline.between_restore": "restored",
    "pipeline.after_restore": "restored",
    "pipeline.before_discard": "spoilt",
    "pipeline.between_discard": "spoilt",
    "pipeline.after_discard": "spoilt",
    "tracking": "tracking",
    "tracking.before_spool": "spooled",
    "tracking.after_spool": "spooled",
    "tracking.between_replays": "spooled",
    "release": "release",
    "outbox": "told",
}
# What only a whole retrain meets.
WHOLE = (
    *(f"step.{name}.{when}" for name in STEPS for when in ("before_record", "after_record")),
    *(f"pipeline.{when}_champion" for when in ("before", "between", "after")),
    *("release.before_blessing", "release.after_blessing"),
)


def room_of(point: str) -> str | None:
    """Return the room in which a point is met, None if only a whole retrain meets it."""
    return None if point in WHOLE else POINTS.get(point, POINTS.get(point.partition(".")[0]))


# --- in a process of its own --------------------------------------------------------------------


# What the server of processes imports beside the rooms; a whole suite adds all that a retrain needs.
WARM = ("faults.warm", "stillhouse.pipeline.publish")
PRELOAD: list[str] = []
TRACEBACK = 70  # where the command line would show one


def work(name: str, folder: str, points: str, go: Connection | None, told: str) -> None:
    """Do a room's work and leave its words in a file; end as the command line ends."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    if go is not None:
        go.recv()
    os.environ["STILLHOUSE_FAILPOINTS"] = points
    failpoints.arm(points)
    try:
        words = ROOMS[name](Path(folder))
    except KeyboardInterrupt:
        os._exit(130)
    except SystemExit as told_to:
        os._exit(int(str(told_to.code)))
    except BaseException as error:
        clear = isinstance(error, StillhouseError | OSError) or short_of_memory(error)
        said = f"{type(error).__name__}: {error}" if clear else traceback.format_exc()
        Path(f"{told}.error").write_text(said)
        os._exit(1 if clear else TRACEBACK)
    Path(told).write_text(words)
    sys.stdout.flush()
    os._exit(0)


def _terminated(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # as the command line does


def start(
    name: str,
    folder: Path,
    points: str = "",
    go: Connection | None = None,
    told: Path | None = None,
) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    process = forks(context).Process(
        target=work,
        args=(name, str(folder), points, go, str(told or folder.parent / f"{folder.name}.told")),
    )  # type: ignore[attr-defined]
    process.start()
    return process  # type: ignore[no-any-return]


def forks(context: object) -> object:
    from multiprocessing import forkserver

    context.set_forkserver_preload(["faults.rooms", *house.HEAVY, *PRELOAD])  # type: ignore[attr-defined]
    before = os.environ.get("PYTHONPATH")
    mine = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (mine, before))
    )  # 3.11's server does not hand sys.path on
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def finished(
    process: BaseProcess, seconds: float = 180.0, *, when_stopped: signal.Signals = signal.SIGKILL
) -> int:
    """Wait for a process and return how it ended; −9 is killed.

    One that stops itself is sent a signal.
    """
    until = time.monotonic() + seconds
    while process.exitcode is None and time.monotonic() < until:
        process.join(0.02)
        if process.pid is not None and process.exitcode is None and stopped(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, when_stopped)
    if process.exitcode is None:
        process.kill()
        process.join()
        return 124
    return int(process.exitcode)


def words(folder: Path) -> str:
    return (folder.parent / f"{folder.name}.told").read_text()


def error(folder: Path) -> str:
    """Return what a work that failed said last; asked right after it."""
    path = folder.parent / f"{folder.name}.told.error"
    return path.read_text() if path.is_file() else ""


def left_in(folder: Path) -> list[str]:
    """Return temporary files that lie about."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*.part")]
