"""The command line: `stillhouse run` and what one wants to know before and after it."""

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    from stillhouse.pipeline import Project

app = typer.Typer(
    name="stillhouse",
    help="Distil a small model from a big one, and promote it only with a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Start with: stillhouse run. Settings live in params.yaml; --set changes them for one "
    "run.",
)

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout; everything else goes to stderr."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting for this run only, such as distill.method.name=dkd; the value is YAML.",
    ),
]


def _root() -> Path:
    """Return the nearest folder upward that holds params.yaml, or the current one."""
    here = Path.cwd()
    return next(
        (place for place in (here, *here.parents) if (place / "params.yaml").is_file()), here
    )


def _emit(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, sort_keys=False))


@contextlib.contextmanager
def _held(holder: str, sets: Sequence[str] = ()) -> "Iterator[Project]":
    """Open the project and hold its workspace; what is heavy is imported only now."""
    from stillhouse import environment

    environment.prepare(_root())
    from stillhouse.pipeline import Project
    from stillhouse_flows import show

    project = Project.open(_root(), sets, told=show.note)
    with project.held(holder, waiting=show.waiting):
        yield project


def _work(json_only: bool, body: Callable[[], int | None]) -> None:
    """Run a command's body; turn every failure into one message and the right exit code."""
    from stillhouse_flows import show

    def terminated(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminated)
    try:
        code = body() or 0
    except StillhouseError as error:
        show.failure(str(error), json_only=json_only)
        code = error.exit_code
    except KeyboardInterrupt:
        show.failure("Stopped. The same command goes on where this one was.", json_only=json_only)
        code = 130
    except OSError as error:
        show.failure(
            f"The system refused: {error}. What was finished is whole; mend it and run the "
            "same command again.",
            json_only=json_only,
        )
        code = 1
    except MemoryError:
        show.failure(
            "There was not enough memory. What was finished is whole; make rows, batch or "
            "model smaller.",
            json_only=json_only,
        )
        code = 1
    raise typer.Exit(code)


@app.command()
def run(sets: Sets = None, json_only: Json = False) -> None:
    """Bring everything up to date: data, teacher, student, receipt, promotion.

    Only what changed is computed again. Exit code 0: promoted or unchanged; 3: held or rejected; 2:
    settings or data cannot be used; 1: failed.

    Example: stillhouse run --set distill.method.name=dkd
    """

    def body() -> int:
        from stillhouse_flows.run import run_project

        return run_project(_root(), sets or [], json_only=json_only)

    _work(json_only, body)


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
        environment.prepare(_root())
        from stillhouse.pipeline import Project
        from stillhouse_flows import show

        wait = 0.0 if environment.started_by_dvc() else 3600.0
        with show.progress() as progress:
            project = Project.open(_root(), told=show.note, progress=progress)
            with project.held(f"stillhouse step {name}", waiting=show.waiting, wait=wait):
                project.run_alone(name)

    _work(False, body)


@app.command()
def status(json_only: Json = False) -> None:
    """Tell who is champion, whether aliases agree with the ledger, and which steps are stale."""

    def body() -> None:
        from stillhouse_flows import show

        with _held("stillhouse status") as project:
            from stillhouse.pipeline import publish

            found = publish.status(project)
        if json_only:
            _emit(found)
        else:
            show.status(found)

    _work(json_only, body)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="A registered version.")], json_only: Json = False
) -> None:
    """Make a registered version the champion; it is gated again if the champion changed since."""

    def body() -> int:
        from stillhouse_flows import show

        with _held(f"stillhouse promote {version}") as project:
            from stillhouse.pipeline import publish

            published = publish.promote_version(project, version)
        show.published(published, json_only=json_only)
        return published.exit_code

    _work(json_only, body)


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

        with _held("stillhouse rollback") as project:
            from stillhouse.pipeline import publish

            found = publish.rollback(project, head)
        if json_only:
            _emit(found)
        else:
            show.status(found)

    _work(json_only, body)


@app.command()
def predict(
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows: .npz with `inputs`, or .csv with the columns that the champion learned "
            "from."
        ),
    ],
    json_only: Json = False,
) -> None:
    """Let the champion answer the rows of a file."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(_root())
        from stillhouse.pipeline import Project
        from stillhouse.pipeline.predict import predict as answer
        from stillhouse_flows import show

        project = Project.open(_root(), told=show.note)
        found = answer(project, file)
        if json_only:
            _emit(found)
        else:
            show.predictions(found)

    _work(json_only, body)


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

        environment.prepare(_root())
        from stillhouse.pipeline import receipts
        from stillhouse_flows import show

        found, page = receipts.find(_root(), version)
        if open_page:
            typer.launch(page.as_uri())
        if json_only:
            _emit(found)
        else:
            show.receipt(found, page)

    _work(json_only, body)


@app.command()
def plugins(json_only: Json = False) -> None:
    """List what can be named in params.yaml, and where it comes from."""

    def body() -> None:
        from stillhouse import environment

        environment.prepare(_root())
        from stillhouse.pipeline import listing
        from stillhouse_flows import show

        found = listing.plugins_of(_root())
        if json_only:
            _emit(found)
        else:
            show.plugins(found)

    _work(json_only, body)


@app.command()
def lock(sets: Sets = None) -> None:
    """Write code.lock.json, the inputs' hashes and the champion, so that DVC alone sees what is
    stale.

    Run it before `dvc repro` or `dvc exp run` whenever code, a named file or the champion changed.
    """

    def body() -> None:
        from stillhouse_flows import show

        with _held("stillhouse lock", sets or []) as project:
            from stillhouse.pipeline import champion

            project.lock()
            champion.refresh(project)
        show.note("code.lock.json, .stillhouse/inputs and .stillhouse/champion are up to date.")

    _work(False, body)


@app.command()
def doctor(json_only: Json = False) -> None:
    """Check this machine and workspace, and say how to mend what is wrong."""

    def body() -> int:
        from stillhouse import environment

        place = environment.prepare(_root())
        from stillhouse_flows import show
        from stillhouse_flows.doctor import examine

        checks = examine(place)
        if json_only:
            _emit({"checks": checks})
        else:
            show.checks(checks)
        return 0 if all(check["ok"] for check in checks) else 1

    _work(json_only, body)


@app.command()
def failpoints(json_only: Json = False) -> None:
    """List the places where STILLHOUSE_FAILPOINTS can make a run fail, for tests."""

    def body() -> None:
        from stillhouse.failpoints import DECLARED

        if json_only:
            _emit({"failpoints": list(DECLARED)})
        else:
            print("\n".join(DECLARED))

    _work(json_only, body)


@app.command()
def ui() -> None:
    """Start MLflow's and Prefect's pages on loopback, print the links, and stop them with
    Ctrl-C.
    """

    def body() -> None:
        from stillhouse import environment

        place = environment.prepare(_root())
        from stillhouse_flows.pages import serve

        serve(place)

    _work(False, body)


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
    return app(args=arguments if arguments is not None else sys.argv[1:], prog_name="stillhouse")
