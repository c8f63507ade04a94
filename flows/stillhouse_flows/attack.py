"""What `stillhouse attack` does: a file, rows, a threat; no workspace and no training."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from stillhouse import config, plugins
from stillhouse.attacks import Attack, Budget, Space, Threat
from stillhouse.attacks.result import Result
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.sense import require_answers, require_fit, require_sense
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.transfer import Transfer
from stillhouse.data.dataset import Dataset, known
from stillhouse.edge.session import Session
from stillhouse.errors import DataError, SourceError, UsageError, nearest
from stillhouse.evaluation.intervals import proportion
from stillhouse.models import onnx_file
from stillhouse.models.access import accept
from stillhouse.models.onnx_graph import Graph
from stillhouse.robustness.deployed import TRIED, Deployed, twin_of
from stillhouse.teachers.probabilities import are_probabilities, log_probabilities
from stillhouse.workspace import dump_tensors, write_atomic
from stillhouse_flows.intake import look
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.plan import read

CHUNK = 50  # rows until the first number; each chunk that follows narrows its interval
# Which attack a norm gets: with gradients, and without.
CHOSEN: dict[Norm, tuple[str, str]] = {
    "linf": ("cascade", "square"),
    "l2": ("cascade", "square"),
    "l1": ("cascade", "square"),
    "l0": ("sparse_rs", "sparse_rs"),
    "patch": ("patch", "patch"),
    "geometry": ("spatial", "spatial"),
    "category": ("flip", "flip"),
    "channels": ("flip", "flip"),
    "drift": ("fault", "fault"),
    "skew": ("fault", "fault"),
}
QUERIES = {"square": 2000}  # of a black box: fewer than its own default, which no one waits for
Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Wish:
    """What was asked for.

    Attributes:
        model: An ONNX file.
        data: Rows and their targets.
        norm: As `Threat.norm`.
        epsilon: As `Threat.epsilon`.
        attack: A plugin's name; None: the one that suits norm and model.
        rows: At most so many, drawn by seed.
        seconds: When to stop; None: at the end.
        seed: Of everything random.
        hints: What the data do not say.
        out: Where adversarial rows go; None: nowhere.
        surrogates: Other ONNX files, which lead a transfer.
    """

    model: Path
    data: Path
    norm: str
    epsilon: float
    attack: str | None = None
    rows: int = 500
    seconds: float | None = None
    seed: int = 0
    hints: Hints = Hints()  # noqa: RUF009 - frozen
    out: Path | None = None
    surrogates: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Attacked:
    """What came of it.

    Attributes:
        wish: What was asked for.
        attack: Which attack was made.
        black_box: Why there were no gradients; empty where there were.
        of: How many rows the file holds.
        notes: What had to be inferred from the rows.
        result: Row by row, of those that were attacked.
    """

    wish: Wish
    attack: str
    black_box: str
    of: int
    notes: tuple[str, ...]
    result: Result

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        found, fooled = self.result, self.result.success & self.result.clean
        n = len(found.success)
        return {
            "model": str(self.wish.model),
            "data": str(self.wish.data),
            "norm": self.wish.norm,
            "epsilon": self.wish.epsilon,
            "attack": self.attack,
            "gradients": not self.black_box,
            "black_box": self.black_box or None,
            "rows": n,
            "of": self.of,
            "notes": list(self.notes),
            "clean": list(proportion(int(found.clean.sum()), n)) if n else None,
            "robust": list(found.robust_accuracy) if n else None,
            "fooled": int(fooled.sum()),
            "distance": float(found.norm[fooled].median()) if fooled.any() else None,
            "queries": found.queries,
            "seconds": round(found.seconds, 3),
            "complete": found.complete,
        }


def attack(wish: Wish, told: Told) -> Attacked:
    """Attack a deployed file, some rows at a time; what was done when the user stops it is kept.

    Args:
        wish: What was asked for.
        told: Called with rows done, rows in all and the accuracy so far.

    Raises:
        UsageError: Norm, epsilon or attack cannot be meant.
        SourceError: Model or rows cannot be read.
        DataError: Rows and model do not fit together.
    """
    if wish.norm not in CHOSEN:
        raise UsageError(
            f"there is no norm '{wish.norm}'.",
            fix=nearest(wish.norm, list(CHOSEN)),
        )
    torch.set_num_threads(1)  # the file answers on one thread too, and small steps share none
    dataset, of, notes = _rows(wish)
    threat = _threat(wish, dataset)
    require_sense(threat, dataset.inputs, dataset.targets)
    model, why = _model(wish.model, dataset.inputs)
    targets = _targets(dataset, model)
    with torch.no_grad():  # of all rows, before the first chunk takes its time
        require_answers(model(dataset.inputs), targets, dataset.rows)
    chosen, name = _attack(wish, why, dataset)
    require_fit(chosen, threat, dataset.inputs)
    if "gradients" in chosen.needs and why and not chosen.brought:
        raise UsageError(
            f"'{name}' needs gradients, and this model is a black box: {why}",
            fix="Leave --attack out, or name square, hop_skip_jump, sparse_rs, patch, "
            "spatial, flip or fault.",
        )
    parts = _parts(chosen, model, dataset.inputs, targets, threat, wish, told)
    result = _joined(parts, len(dataset) - sum(len(part.success) for part in parts))
    if wish.out is not None:
        _save(wish.out, result, targets)
    return Attacked(wish, name, why, of, notes, result)


def _rows(wish: Wish) -> tuple[Dataset, int, tuple[str, ...]]:
    told, dataset = read(look.guess(wish.data, Path(), wish.hints), Path())
    if dataset.schema.quantity is not None:
        raise UsageError(
            "the targets are quantities, about which no answer is right or wrong.",
            fix="Give rows with classes.",
        )
    rows = torch.nonzero(known(dataset.targets)).flatten()
    if not len(rows):
        raise DataError(
            "no row has a target, so that no answer is right or wrong.",
            where="--data",
            fix="Save `targets` beside `inputs`, or name the column: --target.",
        )
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(wish.seed))
    scaled = told.source.get("scale") == 255
    pixels = ("Pixels of 0 to 255 were divided by 255: epsilon counts in [0, 1].",)
    notes = (*told.notes, *(pixels if scaled else ()))
    return dataset.take(rows[order[: wish.rows]]), len(dataset), notes


def _threat(wish: Wish, dataset: Dataset) -> Threat:
    image = dataset.schema.kind == "image"  # a picture's unit is known, a table's is its spread
    space = Space.box() if image else Space.of(dataset.schema, dataset.inputs)
    return Threat(cast(Norm, wish.norm), wish.epsilon, space)


def _model(path: Path, rows: Tensor) -> tuple[Deployed, str]:
    """Return the file as a model, and why it gives no gradients; empty where it does."""
    if not path.is_file():
        raise SourceError(f"there is no file '{path}'.", where="MODEL", fix="Check the path.")
    data, where = path.read_bytes(), path.name
    session = Session(data, where=where)

    def ask(inputs: Tensor) -> Tensor:
        try:
            return torch.cat([session.ask(part) for part in torch.split(inputs, 256)])
        except Exception as error:  # onnxruntime raises bare Exceptions of its own kinds
            raise DataError(
                f"the model cannot answer rows of shape {list(rows.shape[1:])}: "
                f"{str(error).splitlines()[0][:200]}",
                where=where,
                fix="Give rows of the shape that it was exported for.",
            ) from None

    few = ask(rows[:TRIED])
    if few.ndim != 2:
        raise DataError(
            f"it answers {list(few.shape)} to {len(rows[:TRIED])} rows, not a score a class.",
            where=where,
            fix="Export its scores as a tensor [rows, classes] (of scikit-learn: zipmap off).",
        )
    shares = are_probabilities(few)

    def answer(inputs: Tensor) -> Tensor:
        told = ask(inputs).float()
        return log_probabilities(told) if shares else told

    def twin() -> torch.nn.Module:
        graph = Graph(onnx_file.read(data, where), where).eval()
        return _Logarithm(graph) if shares else graph

    made, why = twin_of(twin, answer, rows)
    return Deployed(answer, made), why


class _Logarithm(torch.nn.Module):
    """A twin that answers probabilities, asked for their logarithms."""

    def __init__(self, graph: torch.nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, inputs: Tensor) -> Tensor:
        told: Tensor = self.graph(inputs)
        return told.clamp_min(1e-12).log()


def _targets(dataset: Dataset, model: Deployed) -> Tensor:
    """Return each row's class by the model's column."""
    names = dataset.schema.classes
    if all(name.isdecimal() for name in names):  # codes of the user's own: 7 is column 7
        return torch.tensor([int(name) for name in names])[dataset.targets]
    with torch.no_grad():
        columns = model(dataset.inputs[:1]).shape[1]
    if columns != len(names):
        raise DataError(
            f"the rows have {len(names)} classes ({', '.join(names[:6])}) and the model answers "
            f"{columns}: which is which cannot be told.",
            where="--data",
            fix="Give targets as whole numbers, each the column of the model's answer.",
        )
    return dataset.targets


def _attack(wish: Wish, why: str, dataset: Dataset) -> tuple[Attack, str]:
    if wish.surrogates:
        return _transfer(wish, dataset), "transfer"
    name = wish.attack or CHOSEN[cast(Norm, wish.norm)][bool(why)]
    settings = {"queries": QUERIES[name]} if name in QUERIES and wish.attack is None else {}
    made: Attack = config.build(plugins.load("attacks", name), settings, where="--attack")
    if made.on_surrogate:
        raise UsageError(f"'{name}' needs a second model.", fix="Give one: --surrogate other.onnx.")
    accept(name, made.accepts, dataset.schema.kind)
    return made, name


def _transfer(wish: Wish, dataset: Dataset) -> Transfer:
    """Return the attack that other files lead."""
    if wish.attack not in (None, "transfer"):
        raise UsageError(
            f"'{wish.attack}' is led by the model itself.", fix="Leave --surrogate or --attack out."
        )
    others = []
    for path in wish.surrogates:
        other, why = _model(path, dataset.inputs)
        if why:
            raise UsageError(
                f"'{path.name}' cannot lead: {why}", fix="Give a file that gives gradients."
            )
        others.append(other)
    return Transfer(surrogates=others)


def _parts(
    chosen: Attack,
    model: Deployed,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    wish: Wish,
    told: Told,
) -> list[Result]:
    """Attack chunk after chunk, until all are done, the time is up, or the user stops it."""
    parts: list[Result] = []
    size = len(inputs) if chosen.at_once else CHUNK
    try:
        for at in range(0, len(inputs), size):
            used = sum(part.seconds for part in parts)
            left = None if wish.seconds is None else wish.seconds - used
            if left is not None and left <= 0:
                break
            draw = torch.Generator().manual_seed(wish.seed + at)
            part = run_attack(
                chosen,
                model,
                inputs[at : at + size],
                targets[at : at + size],
                threat=threat,
                generator=draw,
                budget=Budget(seconds=left),
            )
            parts.append(part)
            right, seen = sum(int((~p.success).sum()) for p in parts), min(at + size, len(inputs))
            low, share, high = proportion(right, seen)
            told(seen, len(inputs), f"robust {share:.1%} [{low:.1%}, {high:.1%}]")
    except KeyboardInterrupt:
        if not parts:
            raise
    return parts


def _joined(parts: list[Result], missing: int) -> Result:
    return replace(
        parts[0],
        inputs=torch.cat([part.inputs for part in parts]),
        clean=torch.cat([part.clean for part in parts]),
        success=torch.cat([part.success for part in parts]),
        norm=torch.cat([part.norm for part in parts]),
        queries=sum(part.queries for part in parts),
        seconds=math.fsum(part.seconds for part in parts),
        complete=missing == 0 and all(part.complete for part in parts),
    )


def _save(path: Path, result: Result, targets: Tensor) -> None:
    kept = {
        "inputs": result.inputs,
        "targets": targets[: len(result.success)],
        "success": result.success,
        "distance": result.norm,
    }
    write_atomic(path, dump_tensors(kept))
