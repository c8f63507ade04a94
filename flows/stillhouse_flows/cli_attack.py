"""The command `stillhouse attack`."""

import math
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.errors import UsageError
from stillhouse_flows.cli_init import KindOption, Target
from stillhouse_flows.command import Json, emit, work


def attack(
    model: Annotated[Path, typer.Argument(help="An ONNX file, yours or anybody's.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Rows and targets: npz (inputs, targets), CSV, Parquet, IDX, or a folder.",
            show_default=False,
        ),
    ],
    epsilon: Annotated[
        float,
        typer.Option(
            "--epsilon",
            help="How far an attacker may go: in [0, 1] for images (8/255 is 0.0314), in standard "
            "deviations of each column for tables.",
            show_default=False,
        ),
    ],
    norm: Annotated[
        str,
        typer.Option(
            "--norm",
            help="How a change is measured: linf, l2, l1, l0 (pixels or cells), patch (share of "
            "the side), geometry (1 is 30 degrees and a tenth of the side), category (categories "
            "with another level), channels (silent ones), drift (standard deviations at the end), "
            "skew (share by which the clock is off).",
        ),
    ] = "linf",
    name: Annotated[
        str | None,
        typer.Option(
            "--attack",
            metavar="NAME",
            help="One of `stillhouse plugins`; cascade with gradients, square without.",
        ),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="At most so many, drawn.")] = 500,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Stop then, with what is known.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.safetensors", help="Keep the adversarial rows."),
    ] = None,
    surrogate: Annotated[
        list[Path] | None,
        typer.Option(
            "--surrogate",
            metavar="FILE.onnx",
            help="Another model: do rows that fool it fool this one too? May be repeated.",
        ),
    ] = None,
    target: Target = None,
    kind: KindOption = "auto",
    json_only: Json = False,
) -> None:
    """Attack a model and tell how many rows it still gets right, with the exact interval.

    It needs no workspace, and knows nothing of distillation. Gradients come from the file's graph
    where every operator in it is known; otherwise the model is a black box, and that is said. What
    counts as fooled is what the file itself answers to the very rows. A number stands after the
    first 50 rows; Ctrl-C keeps what is known.

    Example: stillhouse attack digits.onnx --data rows.npz --norm linf --epsilon 0.1

    Example: stillhouse attack theirs.onnx --data rows.npz --epsilon 0.1 --surrogate mine.onnx

    Example: stillhouse attack credit.onnx --data rows.csv --target default --norm l2 --epsilon 0.5
    --json
    """

    def body() -> int:
        if not (math.isfinite(epsilon) and epsilon > 0):  # told before torch is loaded
            raise UsageError(
                f"epsilon must be a number above 0, not {epsilon:g}.",
                fix="Write how far an attacker may go: 8/255 = 0.0314 for images in [0, 1].",
            )
        if seconds is not None and not seconds > 0:
            raise UsageError(
                f"an attack of {seconds:g} seconds tells nothing.",
                fix="Give --seconds more than 0, or leave it out.",
            )
        from stillhouse_flows import show, show_attack
        from stillhouse_flows.attack import Wish
        from stillhouse_flows.attack import attack as run
        from stillhouse_flows.intake.hints import Hints

        hints = Hints(kind=kind, target=target)
        others = tuple(surrogate or ())
        wish = Wish(model, data, norm, epsilon, name, rows, seconds, seed, hints, out, others)
        with show.progress() as progress:
            found = run(wish, show_attack.first_number(progress))
        if json_only:
            emit(found.as_dict())
        else:
            show_attack.attacked(found)
        stopped = not found.result.complete and seconds is None
        return 130 if stopped else 0

    work(json_only, body)
