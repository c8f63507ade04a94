"""`stillhouse adopt`: from a registry that exists to a ledger that says so."""

from typing import TYPE_CHECKING

from stillhouse.errors import UsageError
from stillhouse.pipeline import publish
from stillhouse.pipeline.publish import Published

if TYPE_CHECKING:
    from torch import Tensor

    from stillhouse.data.schema import Schema
    from stillhouse.pipeline.project import Project
    from stillhouse.release.candidate import Candidate
    from stillhouse.release.registry import Version


def adopt(project: "Project", number: int) -> Published:
    """Take a version in as the ledger's first champion, through its check.

    A version that Stillhouse registered goes through the gate if the ledger has a champion; one
    that somebody else registered is stored once more, as a version of its own.

    Raises:
        UsageError: There is no such version.
        Refused: The ledger has a champion, and the version is a stranger.
        DataError: It is no ONNX model of this project's rows.
        Corrupt: It does not answer as it should.
        ServerUnreachable: MLflow stayed away; the same command goes on.
    """
    from stillhouse.release import adopt as acts
    from stillhouse.release.memory import known

    registry = project.registry
    found, state = _version(project, number), known(registry)
    if found.manifest and found.fingerprint:
        if state.champion is not None:
            return publish.promote_version(project, number)
        return _take(project, number, found.evidence, found.over)
    project.bring_up_to_date("prepare")
    schema, row = _row(project)
    candidate = acts.foreign(registry, number, schema, row)
    if not _mine(project, candidate, state.champion):
        acts.refuse_second(registry, state.champion)
    mine = _store(project, candidate, number)
    return _take(project, mine, candidate.evidence, candidate.over)


def _version(project: "Project", number: int) -> "Version":
    from stillhouse.tracking.client import Missing

    try:
        return project.registry.version(number)
    except Missing:
        raise UsageError(
            f"there is no version {number}.",
            where=project.model,
            fix="MLflow's pages show which there are (`stillhouse ui`).",
        ) from None


def _row(project: "Project") -> "tuple[Schema, Tensor]":
    """Return what a row is, and the first test row that has no missing cell."""
    from stillhouse.data import prepared
    from stillhouse.workspace import StepFiles

    test = prepared.load(StepFiles(project.workspace, "release"), "test")
    whole = test.inputs.flatten(1).isfinite().all(dim=1)
    row = int(whole.int().argmax())
    return test.schema, test.inputs[row : row + 1]


def _mine(project: "Project", candidate: "Candidate", champion: int | None) -> bool:
    """Whether the champion is this very model: an earlier try got that far."""
    return (
        champion is not None
        and project.registry.version(champion).fingerprint == candidate.fingerprint
    )


def _store(project: "Project", candidate: "Candidate", number: int) -> int:
    from stillhouse.release.register import register
    from stillhouse.tracking import Tracker

    clock = project.workspace.clock
    key, name = f"adopt-{candidate.fingerprint}", f"adopt version {number}"
    tracker = Tracker.open(
        project.place, project.workspace, project.model, key, name=name, clock=clock
    )
    stored = register(
        project.registry,
        project.workspace,
        candidate,
        experiment=tracker.experiment,
        run_id=tracker.run_id,
        clock=clock,
    )
    tracker.finish()
    return stored.version.number


def _take(project: "Project", number: int, evidence: str, over: str) -> Published:
    from stillhouse.release.check import bless
    from stillhouse.release.promote import promote

    registry = project.registry
    bless(registry, number)
    done = promote(
        registry,
        number,
        0,
        evidence=evidence,
        over=over,
        kind="adopt",
        tags={"stillhouse.why": "stillhouse adopt"},
        clock=project.workspace.clock,
    )
    sentence = (
        f"Version {done.version} is the champion, adopted: no gate judged it, the next student "
        "has to beat it."
    )
    return Published("promoted", project.model, done.version, None, sentence)
