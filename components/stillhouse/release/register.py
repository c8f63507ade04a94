"""Register a student: one version for one fingerprint, whatever is killed, repeated or done twice
at once.
"""

from dataclasses import dataclass
from functools import partial

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import ServerUnreachable
from stillhouse.failpoints import failpoint
from stillhouse.release import artifact, manifest
from stillhouse.release.candidate import Candidate
from stillhouse.release.fetch import Fetch
from stillhouse.release.registry import (
    DUPLICATE,
    EVIDENCE,
    FINGERPRINT,
    MANIFEST,
    MODEL_ID,
    OVER,
    Registry,
    Version,
)
from stillhouse.workspace import Workspace

TRIES = 4


@dataclass(frozen=True)
class Registered:
    """What registering came to.

    Attributes:
        version: The one version of this fingerprint.
        made: Whether it was made now, or found.
    """

    version: Version
    made: bool


def register(
    registry: Registry,
    workspace: Workspace,
    candidate: Candidate,
    *,
    experiment: str,
    run_id: str,
    clock: Clock = SYSTEM,
) -> Registered:
    """Return the version of a student, made unless it is there already.

    Files go first and the version last, so that a kill leaves either nothing that anybody sees, or
    the whole. After any error the version is looked up by its fingerprint before anything is tried
    again.

    Args:
        registry: The model.
        workspace: For the folder that is uploaded.
        candidate: A student that the gate let pass.
        experiment: The id of MLflow's experiment.
        run_id: The retrain's run.
        clock: For the pauses between tries.

    Raises:
        Corrupt: What came back from the store is not what was sent.
        ServerUnreachable: MLflow stayed away.
    """
    for attempt in range(TRIES):
        try:
            found = find(registry, candidate.fingerprint)
            if found is None:
                _make(registry, workspace, candidate, experiment, run_id)
                found = find(registry, candidate.fingerprint)
                if found is not None:
                    return Registered(found, True)
            else:
                _add_evidence(registry, workspace, candidate, found)
                workspace.remove(
                    artifact.STAGE
                )  # a run that was killed after it had registered left it
                return Registered(found, False)
        except ServerUnreachable:
            if attempt == TRIES - 1:
                raise
        clock.sleep(0.5 * 2**attempt)
    raise ServerUnreachable(
        "MLflow took a version, but does not show it.",
        where=registry.model,
        fix="Run again; nothing is registered twice.",
    )


def find(registry: Registry, fingerprint: str) -> Version | None:
    """Return the version of a fingerprint, the lowest if there are several; the others are marked
    as its duplicates.
    """
    found = [
        version for version in registry.versions(fingerprint) if version.manifest
    ]  # without a manifest it is not ours to trust
    for other in found[1:]:
        if other.duplicate_of != found[0].number:
            registry.tag_version(other.number, DUPLICATE, str(found[0].number))
    return found[0] if found else None


def _make(
    registry: Registry, workspace: Workspace, candidate: Candidate, experiment: str, run_id: str
) -> None:
    tags = {FINGERPRINT: candidate.fingerprint, EVIDENCE: candidate.evidence, OVER: candidate.over}
    failpoint("release.before_logged")
    logged = registry.ask(
        lambda: registry.mlflow.create_logged_model(
            experiment, "student", run_id, tags=tags, model_type="student"
        )
    )
    failpoint("release.after_logged")
    folder, entries = artifact.stage(workspace, candidate, logged.model_id)
    failpoint("release.before_upload")
    registry.ask(lambda: registry.mlflow.log_model_artifacts(logged.model_id, str(folder)))
    _upload_evidence(registry, workspace, candidate, logged.model_id)
    failpoint("release.after_upload")
    storage, bound = str(logged.artifact_location).rstrip("/"), manifest.digest(entries)
    Fetch(registry, workspace).verify(storage, bound, candidate.fingerprint)
    failpoint("release.before_finalize")
    registry.ask(lambda: registry.mlflow.finalize_logged_model(logged.model_id, "READY"))
    failpoint("release.before_register")
    registry.create_version(storage, run_id, {**tags, MANIFEST: bound, MODEL_ID: logged.model_id})
    failpoint("release.after_register")
    workspace.remove(artifact.STAGE)


def _add_evidence(
    registry: Registry, workspace: Workspace, candidate: Candidate, version: Version
) -> None:
    """A version that was registered before may have been judged anew: keep the new verdict beside
    it too.
    """
    if (version.evidence, version.over) != (
        candidate.evidence,
        candidate.over,
    ) and version.model_id:
        _upload_evidence(registry, workspace, candidate, version.model_id)


def _upload_evidence(
    registry: Registry, workspace: Workspace, candidate: Candidate, model_id: str
) -> None:
    for name, data in artifact.evidence(candidate).items():
        path = workspace.write_bytes(f"{artifact.STAGE}-evidence/{name}", data)
        failpoint("release.before_evidence")
        registry.ask(partial(registry.mlflow.log_model_artifact, model_id, str(path), "evidence"))
        failpoint("release.after_evidence")
    workspace.remove(f"{artifact.STAGE}-evidence")
