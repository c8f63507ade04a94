"""The command `stillhouse distill`."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse_flows.cli_init import Drop, Group, KindOption, Target, Time, Window
from stillhouse_flows.command import Json, Sets, work


def distill(
    teacher: Annotated[
        str,
        typer.Argument(
            help="models:/name@alias, a file (.onnx, .pt2, .safetensors, answers in .npz or .csv), "
            "a folder of a Hugging Face model, http(s)://…, module:file:Name, or a plugin: "
            "'{name: …}'.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Rows: CSV, Parquet, npz, IDX, or a folder.",
            show_default=False,
        ),
    ],
    student: Annotated[
        str, typer.Option("--student", metavar="NAME", help="An architecture, or '{name: mlp, …}'.")
    ] = "mlp",
    budget: Annotated[
        str,
        typer.Option(
            "--budget", metavar="TIME", help="90s, 10m, 2h: it sizes trials and epochs, and ends."
        ),
    ] = "10m",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The workspace; distilled/TEACHER-STUDENT."),
    ] = None,
    target: Target = None,
    group: Group = None,
    time: Time = None,
    drop: Drop = None,
    kind: KindOption = "auto",
    window: Window = None,
    sets: Sets = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite another distillation's settings there.")
    ] = False,
    json_only: Json = False,
) -> None:
    """Distil a teacher that you have into a small student, in one command.

    It looks at data and teacher, writes a workspace of its own, and runs the whole flow there:
    validation, the teacher's gate, its answers stored once, tuning, controls, ONNX, attacks,
    receipt. The same command goes on where a killed one was; `stillhouse run` in the workspace
    works as ever.

    Exit code 0: promoted; 3: held or rejected, the student and its receipt are there all the same;
    2: teacher, data or budget cannot be used; 1: failed.

    Example: stillhouse distill models:/credit@champion --data rows.parquet --student mlp --budget
    10m

    Example: stillhouse distill big.onnx --data photos/ --student convnet --out small

    Example: stillhouse distill https://models.example.org/predict --data rows.csv --set
    teacher.usd_per_row=0.001 --set teacher.cap_usd=5
    """

    def body() -> int:
        from stillhouse_flows.distill import Wish
        from stillhouse_flows.distill import distill as run
        from stillhouse_flows.intake.hints import Hints

        hints = Hints(kind, target, group, time, tuple(drop or ()), window)
        wish = Wish(teacher, file, student, budget, out, hints, tuple(sets or ()), force)
        return run(wish, json_only=json_only)

    work(json_only, body)
