"""Approval by a person: a deployed run suspends with typed input, and goes on when it is resumed.

What a run asks is bound to the version and to the champion that it was judged over; an answer that
comes after the champion changed is refused.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput, create_flow_run_input, read_flow_run_input
from prefect.runtime import deployment

from stillhouse.errors import Refused, StaleHead
from stillhouse_flows import scheduled

if TYPE_CHECKING:
    from uuid import UUID

    from stillhouse.pipeline import Project
    from stillhouse.pipeline.publish import Published

KEY, PAUSE = "stillhouse-approval", "approval"
DECLINED = ".stillhouse/declined.json"
PATIENCE = 7 * 24 * 3600  # seconds; then the run fails, and the challenger goes on waiting


class Decision(RunInput):
    """What a person answers.

    Attributes:
        decision: promote makes the version champion; decline leaves the champion.
        note: Why, for the log.
    """

    decision: Literal["promote", "decline"]
    note: str = ""


@dataclass(frozen=True)
class Question:
    """What a run asked.

    Attributes:
        version: The challenger.
        head: The ledger's head that it was judged over.
    """

    version: int
    head: int


def asked() -> Question | None:
    """Return what this run asked before it was suspended; None in a run's first pass."""
    if not deployment.id:
        return None
    found = read_flow_run_input(KEY)
    return Question(**found) if isinstance(found, dict) else None


def ask(root: Path, published: "Published") -> "Published":
    """Suspend this run until somebody decides about the challenger, unless nothing waits, no worker
    could take it up again, or another run asks the same already.
    """
    if published.outcome != "held" or published.version is None or not deployment.id:
        return published
    from stillhouse.pipeline import champion
    from stillhouse.workspace import Workspace

    about = Workspace(root).read_json(champion.JSON)
    question = Question(published.version, about["head"] if about else 0)
    if (root / DECLINED).is_file() and Workspace(root).read_json(DECLINED) == asdict(question):
        scheduled.tell(f"Version {question.version} was declined before.")
        return published
    if question in suspended(published.model).values():
        scheduled.tell("Another run asks for this approval already.")
        return published
    create_flow_run_input(KEY, asdict(question))
    suspend_flow_run(
        wait_for_input=Decision.with_initial_data(
            description=f"{published.sentence} It was judged over head {question.head}."
        ),
        timeout=PATIENCE,
        key=PAUSE,
    )
    return published  # pragma: no cover - suspending ends this process


def decide(root: Path, model: str, question: Question) -> "Published":
    """Do in a resumed run what was decided.

    Raises:
        StaleHead: The champion changed after it was asked.
    """
    from stillhouse.pipeline import approve
    from stillhouse.pipeline.publish import Published

    answer = suspend_flow_run(wait_for_input=Decision, timeout=PATIENCE, key=PAUSE)
    scheduled.tell(f"Decided: {answer.decision}. {answer.note}".strip())
    with scheduled.told(root, model) as ended, scheduled.opened(root) as project:
        if answer.decision == "promote":
            published = approve.approve(project, question.version, question.head)
        else:
            project.workspace.write_json(DECLINED, asdict(question))
            published = Published(
                "held", project.model, None, None, f"Version {question.version} was declined."
            )
        ended(project, published)
    scheduled.tell(published.sentence)
    return published


def suspended(model: str) -> "dict[UUID, Question]":
    """Return what the model's suspended runs ask, on the Prefect server that is named."""
    paused = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=paused)
    mine = [run.id for run in runs if run.deployment_id and run.parameters.get("model") == model]
    # A run that was paused for another reason asks nothing.
    found = {run: read_flow_run_input(KEY, flow_run_id=run) for run in mine}
    return {run: Question(**said) for run, said in found.items() if isinstance(said, dict)}


def answer(project: "Project", version: int, decision: str, note: str) -> "UUID | None":
    """Resume the run that asks about a version; None if none does.

    Raises:
        StaleHead: It was asked over a champion that is champion no more.
        Refused: The run was answered, or gave up, meanwhile.
    """
    asking = {run: q for run, q in suspended(project.model).items() if q.version == version}
    if not asking:
        return None
    state = project.registry.state()
    fresh = [run for run, question in asking.items() if question.head == state.head]
    if decision == "promote" and not fresh:
        heads = ", ".join(str(q.head) for q in asking.values())
        raise StaleHead(
            f"version {version} was judged over head {heads}; the champion is version "
            f"{state.champion} (head {state.head}) now.",
            where=project.model,
            fix="The next run judges it again; `stillhouse approve --decline` ends the old one.",
        )
    runs = fresh or list(asking)
    for run in runs:
        _resume(run, {"decision": decision, "note": note})
    return runs[0]


def _resume(run: "UUID", said: dict[str, Any]) -> None:
    from prefect.exceptions import FlowPauseTimeout, NotPausedError
    from prefect.flow_runs import resume_flow_run

    try:
        resume_flow_run(run, run_input=said)
    except (NotPausedError, FlowPauseTimeout, RuntimeError) as error:
        raise Refused(
            f"the run that asked cannot go on: {error}",
            where=str(run),
            fix="The next run asks again.",
        ) from None
