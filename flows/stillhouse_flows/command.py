"""What every command of the command line stands on: its options, its project, and how it ends."""

import contextlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.errors import StillhouseError, short_of_memory

if TYPE_CHECKING:
    from stillhouse.pipeline import Project

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


def root() -> Path:
    """Return the nearest folder upward that holds params.yaml, or the current one."""
    here = Path.cwd()
    return next(
        (place for place in (here, *here.parents) if (place / "params.yaml").is_file()), here
    )


def flowing(text: str) -> str:
    """Return a docstring with each paragraph on one line, so that a terminal breaks it where it is
    narrow and nowhere else.
    """
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def tell_by_docstring(app: typer.Typer) -> None:
    """Let each command's docstring be its help."""
    for command in app.registered_commands:
        if command.callback is not None and not command.help:
            command.help = flowing(command.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            tell_by_docstring(group.typer_instance)


def emit(value: object) -> None:
    """Print the one object of `--json`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, sort_keys=False) + "\n")


@contextlib.contextmanager
def held(holder: str, sets: Sequence[str] = ()) -> "Iterator[Project]":
    """Open the project and hold its workspace; what is heavy is imported only now.

    Raises:
        ServerUnreachable: A team's MLflow is away: told before anything is begun.
    """
    from stillhouse import environment
    from stillhouse_flows import reach

    servers = reach.probes(environment.prepare(root()))
    from stillhouse.pipeline import Project
    from stillhouse_flows import databases, show

    databases.seed(root(), ("mlflow",))
    project = Project.open(root(), sets, told=show.note)
    with project.held(holder, waiting=show.waiting):
        servers.require("MLflow")
        yield project


def work(json_only: bool, body: Callable[[], int | None]) -> None:
    """Run a command's body; turn every failure into one message and the right exit code."""
    from stillhouse_flows import show
    from stillhouse_flows.interrupted import seen_through

    def terminated(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminated)
    try:
        with show.notices(), seen_through():
            code = body() or 0
    except StillhouseError as error:
        show.failure(str(error), json_only=json_only)
        code = error.exit_code
    except KeyboardInterrupt:
        show.failure("Stopped. The same command goes on where this one was.", json_only=json_only)
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        show.failure(
            f"The system refused: {error}. What was finished is whole; mend it and run the "
            "same command again.",
            json_only=json_only,
        )
        code = 1
    except (MemoryError, RuntimeError, ImportError) as error:
        if not short_of_memory(error):
            raise
        show.failure(
            "There was not enough memory. What was finished is whole; make rows, batch or "
            "model smaller.",
            json_only=json_only,
        )
        code = 1
    raise typer.Exit(code)
