"""The command line: `stillhouse run` and what one wants to know before and after it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse_flows import cli_attack, cli_distill, cli_init, cli_team, past
from stillhouse_flows.command import Json, Sets, emit, held, root, tell_by_docstring, work

app = typer.Typer(
    name="stillhouse",
    help="Distil a small model from a big one, and promote it only with a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Start with: stillhouse init --data FILE, then stillhouse run. Settings live in "
    "params.yaml; --set changes them for one run.",
)
app.command()(cli_init.init)


@app.command()
def run(sets: Sets = None, json_only: Json = False) -> None:
    """Bring everything up to date: data, teacher, student, receipt, promotion.

    Only what changed is computed again. Exit code 0: promoted or unchanged; 3: held or rejected; 2:
    settings or data cannot be used; 1: failed.

    Example: stillhouse run --set distill.method.name=dkd
    """

    def body() -> int:
        from stillhouse_flows.run import run_project

        return run_project(root(), sets or [], json_only=json_only)

    work(json_only, body)


app.command()(cli_distill.distill)
app.command()(cli_attack.attack)
app.add_typer(cli_init.data, name="data")


@app.command()
def step(
    name: Annotated[
        str,
        typer.Argument(
            help="prepare, validate, teacher, knowledge, tune, distill, export, robustness, gate "
            "or report."
        ),
    ],
) -> None:
    """Run one step alone, as DVC does: on the settings, code and files that were locked.

    It waits for a run of this workspace. Started by DVC it does not: that run may wait for DVC.
    """

    def body() -> None:
        from stillhouse import environment
        from stillhouse.errors import UsageError, nearest
        from stillhouse.failpoints import STEPS

        if name not in STEPS:
            raise UsageError(f"there is no step '{name}'.", fix=nearest(name, list(STEPS)))
        environment.prepare(root())
        from stillhouse.pipeline import Project
        from stillhouse_flows import show

        wait = 0.0 if environment.started_by_dvc() else 3600.0
        with show.progress() as progress:
            project = Project.open(root(), told=show.note, progress=progress)
            with project.held(f"stillhouse step {name}", waiting=show.waiting, wait=wait):
                project.run_alone(name)

    work(False, body)


@app.command()
def status(json_only: Json = False) -> None:
    """Tell who is champion, whether aliases agree with the ledger, and which steps are stale."""

    def body() -> None:
        from stillhouse_flows import show

        with held("stillhouse status") as project:
            from stillhouse.pipeline import publish

            found = publish.status(project)
        if json_only:
            emit(found)
        else:
            show.status(found)

    work(json_only, body)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="A registered version.")], json_only: Json = False
) -> None:
    """Make a registered version the champion; it is gated again if the champion changed since."""

    def body() -> int:
        from stillhouse_flows import show

        with held(f"stillhouse promote {version}") as project:
            from stillhouse.pipeline import publish

            published = publish.promote_version(project, version)
        show.published(published, json_only=json_only)
        return published.exit_code

    work(json_only, body)


@app.command()
def rollback(
    head: Annotated[
        int,
        typer.Option(
            "--from",
            metavar="HEAD",
            help="The ledger's head that you saw in `stillhouse status`; nothing happens if it "
            "moved.",
        ),
    ],
    json_only: Json = False,
) -> None:
    """Bring the previous champion back, and quarantine the one that is left."""

    def body() -> None:
        from stillhouse_flows import show

        with held("stillhouse rollback") as project:
            from stillhouse.pipeline import publish

            found = publish.rollback(project, head)
        if json_only:
            emit(found)
        else:
            show.status(found)

    work(json_only, body)


@app.command()
def adopt(
    version: Annotated[int, typer.Argument(help="The version that is in production now.")],
    json_only: Json = False,
) -> None:
    """Take in the champion of a registry that is older than its ledger, through a check.

    It has to be ONNX in one file and answer this project's rows. No gate judges it; the next
    student has to beat it. A version of ours goes through the gate if there is a champion.
    """

    def body() -> int:
        from stillhouse_flows import show

        with held(f"stillhouse adopt {version}") as project:
            from stillhouse.pipeline import adopt as acts

            published = acts.adopt(project, version)
        show.published(published, json_only=json_only)
        return published.exit_code

    work(json_only, body)


ledger = typer.Typer(help="The promotion ledger: what only an operator can settle.")
app.add_typer(ledger, name="ledger", no_args_is_help=True)


@ledger.command("accept-restore")
def accept_restore(
    reason: Annotated[str, typer.Option("--reason", help="Why this ledger has to do; it is kept.")],
    json_only: Json = False,
) -> None:
    """Believe the ledger as it is, after an old back-up was restored or entries were deleted."""

    def body() -> None:
        from stillhouse_flows import show

        with held("stillhouse ledger accept-restore") as project:
            from stillhouse.pipeline import publish
            from stillhouse.release.memory import accept_restore as accept

            accept(project.registry, reason, project.workspace.clock)
            found = publish.status(project)
        if json_only:
            emit(found)
        else:
            show.status(found)

    work(json_only, body)


@app.command()
def predict(
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows in the form that the champion learned from: a table (CSV, Parquet), an "
            "image or a folder, lines of a series; or .npz with `inputs`."
        ),
    ],
    json_only: Json = False,
) -> None:
    """Let the champion answer the rows of a file."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.pipeline import Project
        from stillhouse.pipeline.predict import predict as answer
        from stillhouse_flows import show

        project = Project.open(root(), told=show.note)
        found = answer(project, file)
        if json_only:
            emit(found)
        else:
            show.predictions(found)

    work(json_only, body)


@app.command()
def receipt(
    version: Annotated[
        int | None,
        typer.Argument(help="A registered version; without it, this workspace's last run."),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    json_only: Json = False,
) -> None:
    """Show a receipt: what the teacher gave, what flipped, what the student withstands."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.pipeline import receipts
        from stillhouse_flows import show

        found, page = receipts.find(root(), version)
        if open_page:
            typer.launch(page.as_uri())
        if json_only:
            emit(found)
        else:
            show.receipt(found, page)

    work(json_only, body)


@app.command()
def plugins(json_only: Json = False) -> None:
    """List what can be named in params.yaml, and where it comes from."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(root())
        from stillhouse.pipeline import listing
        from stillhouse_flows import show

        found = listing.plugins_of(root())
        if json_only:
            emit(found)
        else:
            show.plugins(found)

    work(json_only, body)


@app.command()
def lock(sets: Sets = None) -> None:
    """Write code.lock.json, the inputs' hashes and the champion, so that DVC alone sees what is
    stale.

    Run it before `dvc repro` or `dvc exp run` whenever code, a named file or the champion changed.
    """

    def body() -> None:
        from stillhouse_flows import show

        with held("stillhouse lock", sets or []) as project:
            from stillhouse.pipeline import champion

            project.lock()
            champion.refresh(project)
        show.note("code.lock.json, .stillhouse/inputs and .stillhouse/champion are up to date.")

    work(False, body)


@app.command()
def doctor(json_only: Json = False) -> None:
    """Check this machine and workspace, and say how to mend what is wrong."""

    def body() -> int:
        from stillhouse import environment

        place = environment.prepare(root())
        from stillhouse_flows import show
        from stillhouse_flows.doctor import examine

        checks = examine(place)
        if json_only:
            emit({"checks": checks})
        else:
            show.checks(checks)
        return 0 if all(check["ok"] for check in checks) else 1

    work(json_only, body)


app.add_typer(past.app)


@app.command()
def failpoints(json_only: Json = False) -> None:
    """List the places where STILLHOUSE_FAILPOINTS can make a run fail, for tests."""

    def body() -> None:
        from stillhouse.failpoints import DECLARED

        if json_only:
            emit({"failpoints": list(DECLARED)})
        else:
            print("\n".join(DECLARED))

    work(json_only, body)


@app.command()
def ui() -> None:
    """Start MLflow's and Prefect's pages on loopback, print the links, and stop them with
    Ctrl-C.
    """

    def body() -> None:
        from stillhouse import environment

        place = environment.prepare(root())
        from stillhouse_flows.pages import serve

        serve(place)

    work(False, body)


for command in cli_team.COMMANDS:
    app.command()(command)


def _version(show_it: bool) -> None:
    if show_it:
        from stillhouse import __version__

        print(f"stillhouse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; bad usage ends with 2."""
    tell_by_docstring(app)
    return app(args=arguments if arguments is not None else sys.argv[1:], prog_name="stillhouse")
