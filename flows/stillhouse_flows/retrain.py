"""The flow `retrain`: from data to a promoted student, a task a step."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, tags
from prefect.artifacts import create_link_artifact, create_table_artifact

from stillhouse.pipeline.budget import CutShort
from stillhouse.tracking.redact import redact_set
from stillhouse.workspace import Workspace
from stillhouse_flows import approval, orphans, scheduled
from stillhouse_flows.lost import through
from stillhouse_flows.task import bring_up_to_date, promote, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

    from stillhouse.pipeline import Project, Result
    from stillhouse.pipeline.publish import Published


def crashed(flow: "Flow[Any, Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """Leave a line in the workspace when a run ends badly, for the next one and for people."""
    root = Path(str(flow_run.parameters.get("root", ".")))
    Workspace(root).write_json(
        ".stillhouse/last_failure.json",
        {
            "flow_run": str(flow_run.id),
            "name": flow_run.name,
            "state": state.name or "",
            "message": state.message or "",
        },
    )


@flow(
    name="retrain",
    flow_run_name="{model}",
    on_crashed=[crashed],
    on_failure=[crashed],
    validate_parameters=False,
    persist_result=False,
)
def retrain(root: str, model: str, sets: list[str]) -> "Published":
    """Bring every step up to date, then register and promote what passed.

    Args:
        root: The project's folder.
        model: The registered model's name, for the run's name.
        sets: `--set` texts, for this run only.
    """
    if _handed:
        return _walk(*_handed[-1])
    question = approval.asked()
    if question is not None:  # suspended, and resumed: everything was computed in the first pass
        return approval.decide(Path(root), model, question)
    return approval.ask(Path(root), scheduled.run(Path(root), model, sets, _walk))


def _walk(project: "Project", each: "Callable[[Result], None]") -> "Published":
    try:
        results = _steps(project, each)
    except CutShort as cut:
        raise _gated(project, each, cut) from None
    published = _publish(project)
    _ended.append(published)
    _artifacts(project, results)
    return published


def _steps(project: "Project", each: "Callable[[Result], None]") -> "list[Result]":
    results = []
    for name in project.steps:
        results.append(bring_up_to_date(name, project))
        each(results[-1])
    return results


def _gated(project: "Project", each: "Callable[[Result], None]", cut: CutShort) -> CutShort:
    """Gate the best student that the budget pays for, and return what to tell; it is not promoted,
    for it is not the one that params.yaml asks for.

    Trials that turn out longer than the first ones cut the search once more.
    """
    project.told(f"{cut.what} Going on with {cut.trials} trials of each arm.")
    shorter = project.with_sets(f"tune.trials={cut.trials}")
    try:
        _artifacts(shorter, _steps(shorter, each))
        said = f"the best of {cut.trials} trials was gated: {shorter.verdict}, not promoted."
    except CutShort as again:
        return _gated(shorter, each, again)
    finally:
        shorter.close()
    insist = f"`stillhouse run --set tune.trials={cut.trials}` to promote it."
    return CutShort(
        f"{cut.what} So {said}",
        trials=cut.trials,
        where=cut.where,
        fix=f"Raise the budget, or {insist}",
    )


def _publish(project: "Project") -> "Published":
    from stillhouse.pipeline import publish

    settled = publish.settled(project)
    if settled is not None:
        return settled
    return promote(project, register(project))


def _artifacts(project: "Project", results: "list[Result]") -> None:
    create_table_artifact(
        key="steps",
        table=[{"step": r.name, "state": r.state, "seconds": r.seconds} for r in results],
        description="How each step came up to date",
    )
    rules = project.artifact("gate/verdict.json")["rules"]
    create_table_artifact(
        key="rules",
        table=[
            {key: str(rule[key]) for key in ("name", "verdict", "observed", "bound")}
            for rule in rules
        ],
        description="What the gate decided",
    )
    create_link_artifact(
        key="receipt",
        link=(project.workspace.artifacts / "report/receipt.html").as_uri(),
        link_text="The receipt",
    )


# A run started by the command line hands its open project over; one that a worker started opens it
# from the flow's parameters.
_handed: "list[tuple[Project, Callable[[Result], None]]]" = []
_ended: "list[Published]" = []  # what the body came to, before Prefect is told


def run_retrain(project: "Project", each: "Callable[[Result], None]") -> "Published":
    """Run the flow on an open project.

    Args:
        project: Open, its workspace held.
        each: Called after every step.
    """
    _handed.append((project, each))
    try:
        # Prefect keeps a run's parameters in clear, and this run has its project already.
        told = [redact_set(text) for text in project.sets]
        root = project.workspace.root
        run = partial(retrain, str(root), project.model, told)
        with tags(orphans.mark(root)):
            return through(run, _ended, project.told)
    finally:
        _handed.pop()
        _ended.clear()
