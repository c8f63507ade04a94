"""From a verdict to the registry: what a run ends with, and the acts that change who is
champion.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stillhouse.errors import Corrupt, Refused, StaleHead, StillhouseError
from stillhouse.pipeline import champion
from stillhouse.pipeline.settings import Release

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project
    from stillhouse.release.registry import Version

Outcome = Literal["promoted", "unchanged", "held", "rejected"]


@dataclass(frozen=True)
class Published:
    """What a run, or a promotion by hand, ended with.

    Attributes:
        outcome: promoted, unchanged, held or rejected.
        model: The registered model.
        version: The champion's version, or that of the challenger that waits; None if nothing is
            registered.
        replaces: The version that was champion before; None if there was none, or nothing changed.
        sentence: The same for people.
    """

    outcome: Outcome
    model: str
    version: int | None
    replaces: int | None
    sentence: str

    @property
    def exit_code(self) -> int:
        """0 for promoted and unchanged, 3 for held and rejected."""
        return 0 if self.outcome in ("promoted", "unchanged") else 3

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {"outcome": self.outcome, "model": self.model, "version": self.version}


def settled(project: "Project") -> Published | None:
    """Return how a run ends if nothing has to be registered or promoted; None if the student passed
    and is not champion yet.

    In this order: the verdict, then whether it is the champion already, then whether a rollback put
    it in quarantine.
    """
    from stillhouse.release.aliases import reconcile
    from stillhouse.release.fetch import fingerprint_of
    from stillhouse.release.manifest import student_fingerprint
    from stillhouse.release.memory import read
    from stillhouse.release.register import find

    verdict, model = project.verdict, project.model
    if verdict != "promote":
        word: Outcome = "held" if verdict == "hold" else "rejected"
        return Published(
            word,
            model,
            None,
            None,
            f"The gate said {verdict}: the student is not registered, and the champion stays.",
        )
    registry = project.registry
    state, mine = read(registry), student_fingerprint(project.workspace)
    reconcile(registry, project.workspace.clock)
    if state.last is not None and fingerprint_of(registry, state.last) == mine:
        return Published(
            "unchanged",
            model,
            state.champion,
            None,
            f"Version {state.champion} is this student already.",
        )
    known = find(registry, mine or "")
    if known is not None and known.number in state.quarantined:
        return Published(
            "held",
            model,
            None,
            None,
            f"Version {known.number} was rolled back; `stillhouse promote {known.number}` to "
            "insist.",
        )
    if (
        known is not None
        and _approval(project)
        and registry.aliases().get("challenger") == known.number
    ):
        return _challenger(project, known.number)
    return None


def register(project: "Project") -> int:
    """Store the student that passed, once whatever happens, and see it answer in a fresh process;
    return its version.

    Raises:
        Corrupt: What came back from the store is not what was sent, or it does not answer as it
            should.
        ServerUnreachable: MLflow stayed away.
    """
    from stillhouse.data import prepared
    from stillhouse.data.keys import short_keys
    from stillhouse.receipt.card import card
    from stillhouse.release.candidate import of_workspace
    from stillhouse.release.champion import STATISTICS, TEST_ROWS
    from stillhouse.release.check import bless, blessed
    from stillhouse.release.register import register as store
    from stillhouse.workspace import StepFiles, dump_json

    tracker = project.tracker
    tracker.replay()
    about = project.artifact("prepare/data.json")["statistics"]
    test = prepared.load(StepFiles(project.workspace, "release"), "test")
    candidate = of_workspace(
        project.workspace,
        {
            "card.md": card(project.artifact("report/receipt.json")).encode(),
            STATISTICS: dump_json(about),
            TEST_ROWS: dump_json(short_keys(test)),
        },
    )
    stored = store(
        project.registry,
        project.workspace,
        candidate,
        experiment=tracker.experiment,
        run_id=tracker.run_id,
        clock=project.workspace.clock,
    )
    if not blessed(project.registry, stored.version.number):
        bless(project.registry, stored.version.number)
    return stored.version.number


def promote(project: "Project", version: int) -> Published:
    """Make the version that this run registered the champion, over the champion that its gate was
    compared with.

    Raises:
        StaleHead: The champion changed since the gate looked.
    """
    if _approval(project):
        from stillhouse.release.aliases import set_challenger

        set_challenger(project.registry, version, project.workspace.clock)
        return _challenger(project, version)
    from stillhouse.workspace import sha256

    root = project.workspace.root
    about = json.loads((root / champion.JSON).read_bytes())
    evidence, over = sha256(root / "artifacts/gate/verdict.json"), sha256(root / champion.JSON)
    return commit(
        project,
        version,
        about["head"] if about else 0,
        evidence=evidence,
        over=over,
        why="stillhouse run",
    )


def promote_version(project: "Project", version: int) -> Published:
    """Promote a registered version by hand: on its own verdict if the champion is still the one it
    was compared with, else it is gated again.

    Raises:
        StaleHead: The champion is another one now, and the version's student does not lie here to
            be gated again.
        UsageError: There is no such version.
    """
    from stillhouse.release.aliases import reconcile
    from stillhouse.release.fetch import fingerprint_of
    from stillhouse.release.manifest import student_fingerprint
    from stillhouse.release.memory import read
    from stillhouse.release.promote import target

    registry = project.registry
    found, state = target(registry, version), read(registry)
    reconcile(registry, project.workspace.clock)
    if state.champion == version:
        return Published(
            "unchanged", project.model, version, None, f"Version {version} is the champion already."
        )
    if judged_over(project, found) == (
        fingerprint_of(registry, state.last) if state.last else None
    ):
        return commit(
            project,
            version,
            state.head,
            evidence=found.evidence,
            over=found.over,
            why=f"stillhouse promote {version}",
        )
    if student_fingerprint(project.workspace) != found.fingerprint:
        raise StaleHead(
            f"the champion is version {state.champion} now, and version {version} was not "
            "compared with it.",
            where=project.model,
            fix="Bring its settings back and run `stillhouse run`: that gates it again.",
        )
    for name in champion.READERS:
        project.bring_up_to_date(name)
    if project.verdict != "promote":
        word: Outcome = "held" if project.verdict == "hold" else "rejected"
        return Published(
            word,
            project.model,
            None,
            None,
            f"Gated again over version {state.champion}, version {version} is {word}.",
        )
    return (
        promote(project, version)
        if not _approval(project)
        else commit_here(project, version, state.head)
    )


def rollback(project: "Project", head: int) -> dict[str, Any]:
    """Bring the previous champion back if the head is still the one that the operator saw; return
    the new status.

    Raises:
        StaleHead: The head moved.
        Refused: There is no earlier champion.
    """
    from stillhouse.release import promote as acts
    from stillhouse.release.memory import known

    known(project.registry)
    acts.rollback(
        project.registry,
        head,
        tags={"stillhouse.why": "stillhouse rollback"},
        clock=project.workspace.clock,
    )
    return status(project)


def status(project: "Project") -> dict[str, Any]:
    """Return what `stillhouse status --json` prints; the aliases are mended first, unless the
    ledger cannot be believed: then nothing is written, and what needs the champion is stale.
    """
    from stillhouse.release.aliases import reconcile
    from stillhouse.release.memory import read
    from stillhouse.release.status import status as told

    try:
        read(project.registry)
    except (Corrupt, Refused):
        return {**told(project.registry), "stale": project.stale(believed=False)}
    reconcile(project.registry, project.workspace.clock)
    return {**told(project.registry), "stale": project.stale()}


@contextlib.contextmanager
def tracked(project: "Project") -> Iterator[None]:
    """Hold MLflow's parent run of a retrain open: the same one again after a kill, finished, failed
    or killed at the end.

    Raises:
        ServerUnreachable: MLflow does not answer at the start.
    """
    from stillhouse.release.memory import read
    from stillhouse.tracking import Tracker

    read(project.registry)  # before hours of work, not after them
    if not project.code:
        project.lock()  # the key is the same whether or not an earlier try got as far as a dvc.lock
    key = hashlib.sha256(
        json.dumps([project.params, project.code], sort_keys=True).encode()
    ).hexdigest()
    tracker = Tracker.open(
        project.place,
        project.workspace,
        project.model,
        key,
        name=project.model,
        clock=project.workspace.clock,
    )
    tracker.log_params(project.params)
    project.track(tracker)
    try:
        yield
    except KeyboardInterrupt:
        tracker.fail("stopped by Ctrl-C", killed=True)
        raise
    except StillhouseError as error:
        tracker.fail(str(error))
        raise
    except BaseException as error:
        tracker.fail(type(error).__name__)
        raise
    else:
        tracker.finish()
    finally:
        project.track(None)


# --- inside -------------------------------------------------------------------------------------


def _approval(project: "Project") -> bool:
    from stillhouse import config

    return config.build(Release, project.params["release"], where="release").approval


def _challenger(project: "Project", version: int) -> Published:
    return Published(
        "held",
        project.model,
        version,
        None,
        f"Version {version} passed and waits for approval: `stillhouse approve {version}`.",
    )


def judged_over(project: "Project", version: "Version") -> str | None:
    """Return the fingerprint of the champion that a version's own verdict was compared with, or
    None if there was none.
    """
    from stillhouse.release.fetch import Fetch

    storage = project.registry.storage(version.number).rstrip("/")
    about = json.loads(
        Fetch(project.registry, project.workspace).by_hash(
            f"{storage}/evidence/{version.over}", version.over
        )
    )
    return str(about["fingerprint"]) if about else None


def commit_here(project: "Project", version: int, head: int) -> Published:
    """Make a version champion over `head`, on the verdict that lies here. Errors as `promote`."""
    from stillhouse.workspace import sha256

    root = project.workspace.root
    evidence, over = sha256(root / "artifacts/gate/verdict.json"), sha256(root / champion.JSON)
    return commit(
        project, version, head, evidence=evidence, over=over, why=f"stillhouse promote {version}"
    )


def commit(
    project: "Project", version: int, head: int, *, evidence: str, over: str, why: str
) -> Published:
    """Make a version champion over `head`, on the verdict with that evidence. Errors as
    `promote`.
    """
    from stillhouse.release import promote as acts

    before = project.registry.state().champion
    done = acts.promote(
        project.registry,
        version,
        head,
        evidence=evidence,
        over=over,
        tags={"stillhouse.why": why},
        clock=project.workspace.clock,
    )
    replaces = before if before not in (None, done.version) else None
    sentence = f"Version {version} is the champion" + (
        f"; it replaces version {replaces}." if replaces else "."
    )
    return Published("promoted", project.model, version, replaces, sentence)
