"""Commands for a workspace that runs by itself: deploy it, decide what waits, see what was told."""

from typing import Annotated

import typer

from stillhouse_flows.command import Json, emit, held, root, work


def deploy(json_only: Json = False) -> None:
    """Put `retrain` and `monitor` on a Prefect server: by schedule, by event, one run at a time.

    Reads prefect.yaml, makes the work pool, and the automation that marks a run whose worker died
    as Crashed. Again at will: nothing is made twice.
    """

    def body() -> None:
        from stillhouse import environment

        place = environment.prepare(root())
        from stillhouse.pipeline import Project
        from stillhouse_flows import show
        from stillhouse_flows.deploy import deploy as onto

        made = onto(place, Project.open(root()).model)
        if json_only:
            emit(made.as_dict())
        else:
            show.note(f"{', '.join(made.deployments)} on {made.url}. Start a worker:")
            print(made.worker)

    work(json_only, body)


def approve(
    version: Annotated[
        int | None, typer.Argument(help="The challenger; without it, whichever waits.")
    ] = None,
    decline: Annotated[
        bool, typer.Option("--decline", help="Leave the champion; the waiting run ends.")
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the run's log.")] = "",
    json_only: Json = False,
) -> None:
    """Decide about the student that waits for approval: promote it as it was judged.

    Resumes the suspended run that asks; without one, promotes here. 3: the champion changed since,
    so that the verdict is stale.
    """

    def body() -> int:
        from stillhouse_flows import show
        from stillhouse_flows.decision import decide

        with held("stillhouse approve") as project:
            found = decide(project, version, decline=decline, note=note)
        if json_only:
            emit(found.as_dict())
        else:
            show.said(found.sentence)
        return 0

    work(json_only, body)


def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message through every channel.")
    ] = False,
    json_only: Json = False,
) -> None:
    """Send what waits in the outbox now, and show what could not be sent, and why."""

    def body() -> int:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.workspace import Workspace
        from stillhouse_flows import notify as telling
        from stillhouse_flows import show

        workspace = Workspace(root())
        if test:
            telling.test(workspace, root().name)
        left = telling.deliver(workspace, lambda sentence: None, now=True)
        if json_only:
            emit({"channels": telling.names(), "waiting": [entry.told() for entry in left]})
        else:
            show.outbox(telling.names(), left)
        return 1 if left else 0

    work(json_only, body)


COMMANDS = (deploy, approve, notify)
