"""Commands that look back: `stillhouse history`, `stillhouse reproduce`, `stillhouse drill`."""

from dataclasses import asdict
from typing import Annotated

import typer

from stillhouse_flows.command import Json, emit, held, root, work

app = typer.Typer()


@app.command()
def history(json_only: Json = False) -> None:
    """Tell who was champion when, why, and by whom: the ledger as a story."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.pipeline import Project
        from stillhouse.release.history import history as told
        from stillhouse_flows import show

        found = told(Project.open(root(), told=show.note).registry)
        if json_only:
            emit(found)
        else:
            show.history(found)

    work(json_only, body)


@app.command()
def reproduce(
    version: Annotated[int, typer.Argument(help="A registered version.")], json_only: Json = False
) -> None:
    """Make a version again from its commit, data and settings, and compare every number.

    Nothing is registered. Exit code 0: the same student and the same numbers; 3: something differs,
    and is named.
    """

    def body() -> int:
        from stillhouse_flows import show

        with held(f"stillhouse reproduce {version}") as project, show.progress() as progress:
            from stillhouse.pipeline.reproduce import reproduce as again

            project.progress = progress
            made = again(project, version)
        if json_only:
            emit(made.as_dict())
        else:
            show.reproduced(made)
        return 0 if made.same else 3

    work(json_only, body)


@app.command()
def drill(json_only: Json = False) -> None:
    """Practise the rollback: load the previous champion and let it answer; nothing changes."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.pipeline import Project
        from stillhouse.release.drill import drill as practise
        from stillhouse_flows import show

        project = Project.open(root(), told=show.note)
        found = practise(project.registry, project.workspace, project.workspace.clock)
        if json_only:
            emit(asdict(found))
        else:
            show.drilled(found)

    work(json_only, body)
