"""Promotion by a person's word: of the challenger, on the verdict that it has, over the champion
that it was compared with.
"""

from typing import TYPE_CHECKING

from stillhouse.errors import Refused, StaleHead
from stillhouse.pipeline import publish
from stillhouse.pipeline.publish import Published

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project
    from stillhouse.release.ledger import State
    from stillhouse.release.registry import Registry, Version


def approve(project: "Project", version: int, head: int | None = None) -> Published:
    """Promote the challenger as it was judged: nothing is gated again, so that a stale verdict
    cannot be approved.

    Args:
        project: Open, its workspace held.
        version: The challenger.
        head: The ledger's head when its approval was asked for; None: when it was judged.

    Raises:
        StaleHead: The champion changed since; the message says to which.
        Refused: The version does not wait for approval any more.
        UsageError: There is no such version.
    """
    registry = project.registry
    found, state = _waiting(project, version)
    if state.champion == version:
        return Published(
            "unchanged", project.model, version, None, f"Version {version} is the champion already."
        )
    why = f"stillhouse approve {version}"
    if head in (None, state.head):
        if publish.judged_over(project, found) == _champion_of(registry, state):
            return publish.commit(
                project, version, state.head, evidence=found.evidence, over=found.over, why=why
            )
        if _judged_here(project, found):
            return publish.commit_here(project, version, state.head)
    now = f"version {state.champion}" if state.champion is not None else "nobody"
    raise StaleHead(
        f"the champion is {now} (head {state.head}) now; version {version} was judged over another"
        + (f" (head {head})." if head is not None else "."),
        where=project.model,
        fix="Run `stillhouse run`: it judges again, and asks again.",
    )


def _waiting(project: "Project", version: int) -> "tuple[Version, State]":
    """Return a version that waits for approval, or is champion already, and the ledger."""
    from stillhouse.release.aliases import reconcile
    from stillhouse.release.promote import target

    registry = project.registry
    reconcile(registry, project.workspace.clock)
    found, state = target(registry, version), registry.state()
    if version in (state.champion, registry.aliases().get("challenger")):
        return found, state
    raise Refused(
        f"version {version} does not wait for approval.",
        where=project.model,
        fix="`stillhouse status` names the challenger.",
    )


def _judged_here(project: "Project", version: "Version") -> bool:
    """Whether the verdict that lies here is about this version and the champion as it is now."""
    from stillhouse.release.manifest import student_fingerprint

    mine = student_fingerprint(project.workspace) == version.fingerprint
    return mine and not project.stale() and project.verdict == "promote"


def _champion_of(registry: "Registry", state: "State") -> str | None:
    from stillhouse.release.fetch import fingerprint_of

    return fingerprint_of(registry, state.last) if state.last else None
