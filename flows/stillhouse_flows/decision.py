"""`stillhouse approve`: resume the run that asks, or promote here what waits."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillhouse.errors import ServerUnreachable, UsageError
from stillhouse_flows import server

if TYPE_CHECKING:
    from stillhouse.pipeline import Project


@dataclass(frozen=True)
class Decided:
    """What became of a decision.

    Attributes:
        outcome: promoted, unchanged, approved (a suspended run goes on and promotes) or declined.
        model: The registered model.
        version: The version that was decided about.
        flow_run: The run that was resumed, if one asked.
        sentence: The same for people.
    """

    outcome: str
    model: str
    version: int
    flow_run: str | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "outcome": self.outcome,
            "model": self.model,
            "version": self.version,
            "flow_run": self.flow_run,
        }


def decide(project: "Project", version: int | None, *, decline: bool, note: str) -> Decided:
    """Carry a decision to the run that asks for it, or do it here.

    Args:
        project: Open, its workspace held.
        version: The challenger, or None for whichever waits.
        decline: Whether the answer is no.
        note: Why.

    Raises:
        UsageError: Nothing waits, or there is nothing that a no could end.
        StaleHead: The champion changed since the version was judged.
        Refused: The version, or the run that asked, does not wait any more.
        ServerUnreachable: The Prefect server that is named does not answer.
    """
    number = version if version is not None else _challenger(project)
    run = _resume(project, number, "decline" if decline else "promote", note)
    if run is not None:
        word = "declined" if decline else "approved"
        goes_on = "ends" if decline else "goes on at its worker and promotes it"
        sentence = f"Version {number} is {word}; the run that asked {goes_on}."
        return Decided(word, project.model, number, run, sentence)
    if decline:
        raise UsageError(
            f"no suspended run asks about version {number}.",
            where=project.model,
            fix="There is nothing to end: a challenger changes nothing until it is approved.",
        )
    from stillhouse.pipeline.approve import approve

    done = approve(project, number)
    return Decided(done.outcome, project.model, number, None, done.sentence)


def _challenger(project: "Project") -> int:
    found = project.registry.aliases().get("challenger")
    if found is None:
        raise UsageError("nothing waits for approval.", where=project.model, fix="See `status`.")
    return found


def _resume(project: "Project", version: int, decision: str, note: str) -> str | None:
    """Return the run that was resumed; None where no server is known or no run asks."""
    known = server.running(project.workspace.root)
    url = project.place.prefect_url or (known.url if known is not None else None)
    if url is None:
        return None
    if not server.answers(url, seconds=10.0):
        raise ServerUnreachable(
            "Prefect's server does not answer, and a run that waits there may ask for this.",
            where=url,
            fix="Start it, or unset PREFECT_API_URL to promote here.",
        )
    os.environ["PREFECT_API_URL"] = url  # Prefect reads it when it is imported
    from stillhouse_flows import approval

    run = approval.answer(project, version, decision, note)
    return str(run) if run is not None else None
