"""The commands with which a project begins: `stillhouse init` and `stillhouse data describe`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stillhouse_flows.command import Json, emit, work

data = typer.Typer(help="Look at data before anything is written.", no_args_is_help=True)

Kind = Literal["auto", "image", "table", "series"]
KindOption = Annotated[Kind, typer.Option("--kind", help="What a row is; auto looks.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="The column to predict; of several labels a row theirs, with commas between.",
    ),
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="COLUMN", help="Patients, wearers or machines held out whole."),
]
Time = Annotated[
    str | None, typer.Option("--time", metavar="COLUMN", help="The latest rows are held out by it.")
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COLUMN", help="Leave a column out; may be said often."),
]
Window = Annotated[
    int | None, typer.Option("--window", min=2, help="Lines that make a row of a series.")
]


def init(
    folder: Annotated[Path, typer.Argument(help="Where params.yaml comes to.")] = Path(),
    file: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="A CSV, Parquet, npz or IDX file, or a folder of images or WAVs; without it, data "
            "of ours stand in.",
        ),
    ] = None,
    target: Target = None,
    group: Group = None,
    time: Time = None,
    drop: Drop = None,
    kind: KindOption = "auto",
    window: Window = None,
    torch: Annotated[
        bool, typer.Option("--torch", help="Let the student be your own torch module.")
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="Its name in the registry; the folder's.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what `init` wrote before, or you did.")
    ] = False,
    json_only: Json = False,
) -> None:
    """Begin a project in your own repository, with settings that fit your data.

    Then `stillhouse run` works there at once.

    Example: stillhouse init --data patients.csv --target outcome
    """

    def body() -> None:
        from stillhouse_flows import show_data
        from stillhouse_flows.init import Wish, begin
        from stillhouse_flows.intake.hints import Hints

        hints = Hints(kind, target, group, time, tuple(drop or ()), window)
        made = begin(Wish(folder, file, hints, torch, model, force))
        if json_only:
            emit(made.as_dict())
        else:
            show_data.begun(made)

    work(json_only, body)


@data.command()
def describe(
    file: Annotated[Path, typer.Argument(help="A file, or a folder of images or WAVs.")],
    target: Target = None,
    group: Group = None,
    time: Time = None,
    drop: Drop = None,
    kind: KindOption = "auto",
    window: Window = None,
    json_only: Json = False,
) -> None:
    """Tell what a file holds and what `stillhouse init` would make of it; nothing is written.

    Example: stillhouse data describe patients.csv --target outcome
    """

    def body() -> None:
        from stillhouse_flows import show_data
        from stillhouse_flows.describe import describe as look
        from stillhouse_flows.intake.hints import Hints

        found = look(file, Path(), Hints(kind, target, group, time, tuple(drop or ()), window))
        if json_only:
            emit(found)
        else:
            show_data.described(found)

    work(json_only, body)
