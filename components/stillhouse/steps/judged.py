"""What the gate judges: outcomes of every earlier step, the student's slices, and its answers to
rows unlike all others.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.dataset import known as has_target
from stillhouse.data.rows import Rows, read_rows
from stillhouse.data.schema import Schema
from stillhouse.edge.session import Session
from stillhouse.errors import DataError
from stillhouse.evaluation import unlike
from stillhouse.evaluation.label_points import choose_each, filled
from stillhouse.evaluation.operating import choose
from stillhouse.evaluation.tasks import Classification, task_of
from stillhouse.gating.collect import Outcomes
from stillhouse.gating.evidence import Partly
from stillhouse.gating.metrics import ALARMS, DRIFT
from stillhouse.gating.sliced import Slice, Student, find_slices
from stillhouse.gating.two_classes import Point
from stillhouse.steps.champion import Champion
from stillhouse.steps.step import Job
from stillhouse.steps.student import load_student
from stillhouse.validation.drift import Drift
from stillhouse.workspace import StepFiles

SHIPPED_SEED = 0  # of every arm: the student that ships, and the controls that it is compared with
UNLIKE = {"noise": unlike.noise, "mixed": unlike.mixed}


def operating_point(files: StepFiles, val: Dataset, champion: Champion) -> Point | None:
    """Return where each model of two classes says yes: the student where `distill` chose it, the
    others by the same criterion, on val; None where there are not two classes.

    Raises:
        DataError: Val has rows of one class only.
    """
    told = files.read_json("distill/student.json").get("operating_point")
    if told is None:
        return None
    task, has = cast(Classification, task_of(val.schema)), has_target(val.targets)
    thresholds = {
        who: choose(told["criterion"], *task.ranked(found[has], val.targets[has]))
        for who, found in _val_answers(files, champion).items()
    }
    return Point(told["positive"], {**thresholds, "student": told["threshold"]})


def label_points(
    files: StepFiles, val: Dataset, champion: Champion
) -> dict[str, tuple[float, ...]]:
    """Return from which probability on each model gives each of several labels: the student where
    `distill` chose it, the others by the same criterion, on val; empty where nothing was chosen.
    """
    told = files.read_json("distill/student.json").get("label_points")
    if told is None:
        return {}
    thresholds = {
        who: filled(choose_each(told["criterion"], found, val.targets))
        for who, found in _val_answers(files, champion).items()
    }
    return {**thresholds, "student": tuple(told["thresholds"])}


def _val_answers(files: StepFiles, champion: Champion) -> dict[str, Tensor]:
    """Return what every model but the student answers to val's rows [N val, C]."""
    arms = files.read_tensors("distill/outcomes.safetensors")
    logits = {"teacher": files.read_tensors("teacher/outcomes.safetensors")["val_logits"]}
    logits |= {
        arm: arms[name]
        for arm in ("none", "hard")
        if (name := f"{arm}/{SHIPPED_SEED}/val_logits") in arms
    }
    return logits if champion.val_logits is None else {**logits, "champion": champion.val_logits}


def outcomes(
    files: StepFiles, targets: Tensor, champion: Champion, moved: Drift | None = None
) -> Outcomes:
    """Return what earlier steps left behind. The student is what its ONNX answers; the arms are
    those of seed 0.
    """
    arms, exported = (
        files.read_tensors("distill/outcomes.safetensors"),
        files.read_tensors("export/outcomes.safetensors"),
    )
    edge, examined = (
        files.read_json("export/edge.json"),
        files.read_json("robustness/robustness.json"),
    )
    logits = {
        "student": exported["fp32_logits"],
        "teacher": files.read_tensors("teacher/outcomes.safetensors")["test_logits"],
    }
    logits |= {
        arm: arms[name]
        for arm in ("none", "hard")
        if (name := f"{arm}/{SHIPPED_SEED}/test_logits") in arms
    }
    if champion.logits is not None:
        logits["champion"] = champion.logits
    exact = {f"edge/{name}": edge.get(name) for name in ("parity_max_error", "macs", "parameters")}
    exact |= {
        f"edge/{name}_kb": edge[key] / 1000 if edge.get(key) else None
        for name, key in (("size", "onnx_bytes"), ("int8_size", "int8_bytes"))
    }
    if moved is not None:
        exact[DRIFT] = moved.share
    if examined.get("masking"):
        exact[ALARMS] = sum(alarm["verdict"] == "alarm" for alarm in examined["masking"])
    robust = files.read_tensors("robustness/outcomes.safetensors")
    return Outcomes(
        targets=targets,
        logits=logits,
        int8=exported.get("int8_logits"),
        robust=robust,
        partly={
            one["norm"]: Partly(
                (robust[f"probe/{one['norm']}"] == 1).numpy(), one["rows"], one["delta"]
            )
            for one in examined.get("probes", [])
            if one["fails"]
        },
        norms={attack["label"]: attack["norm"] for attack in examined["attacks"]},
        exact={name: float(value) for name, value in exact.items() if value is not None},
        not_measured={entry["name"]: entry["reason"] for entry in examined.get("not_measured", [])},
    )


def slices(files: StepFiles, val: Dataset, test: Dataset) -> list[Slice]:
    """Return where the student may be far weaker than on the whole; nothing where no answer is
    right or wrong.
    """
    if not task_of(test.schema).right_or_wrong or not len(val):
        return []
    shipped = Session(files.read_bytes("export/student.onnx")).logits(val.inputs)
    return find_slices(Student(load_student(files), shipped), val, test)


def unlike_logits(
    files: StepFiles, test: Dataset, others: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return what the exported student answers to rows that no source would give, and to those of
    other data sets, [M, C] a kind.
    """
    if not task_of(test.schema).decides:
        return {}
    session = Session(files.read_bytes("export/student.onnx"))
    made = {
        kind: _coded(make(test.inputs, _generator(kind)), test) for kind, make in UNLIKE.items()
    }
    return {kind: session.logits(rows) for kind, rows in {**made, **(others or {})}.items()}


def others(job: Job, named: Mapping[str, str], schema: Schema) -> dict[str, Tensor]:
    """Return rows of other data sets by name, at most 2,000 each, read as the project's own source
    reads rows to be answered.

    Args:
        job: Whose `prepare.source` reads them.
        named: Files or folders by name.
        schema: Of the student's rows.

    Raises:
        SourceError: One is missing, broken, or its rows are others than the student takes.
        DataError: None of its rows can be answered.
    """
    spec = (job.params.get("prepare") or {}).get("source")
    read: Callable[[Path, Schema], Rows] = read_rows
    if spec is not None and named:
        read = config.plugin("sources", spec, where="prepare.source").rows
    found = {}
    for name, path in named.items():
        given = read(config.file_of(path, job.root), schema)
        kept = [at for at in range(len(given.inputs)) if at not in given.refused]
        if not kept:
            raise DataError(
                "none of its rows can be answered.",
                where=f"gate.ood.{name}",
                fix="Give rows of the kind that the student takes.",
            )
        found[name] = given.inputs[kept[: unlike.MOST]]
    return found


def _coded(inputs: Tensor, test: Dataset) -> Tensor:
    """Round what is a code or a count, so that it is one."""
    whole = [test.schema.tabular and f.kind != "number" for f in test.schema.features]
    return torch.where(torch.tensor(whole), inputs.round(), inputs) if any(whole) else inputs


def _generator(kind: str) -> torch.Generator:
    digest = hashlib.sha256(f"unlike/{kind}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))


def refuse_odd(found: Outcomes, test: Dataset) -> None:
    """Refuse what no rule could judge: a label that is no class, and an answer that is no number.

    Raises:
        DataError: There is one; the message names its row in the source, and the model.
    """
    if test.schema.classes and not test.targets.is_floating_point():
        odd = (test.targets < -1) | (test.targets >= len(test.schema.classes))
        _refuse(odd, test, "a label that is none of the classes", "prepare/test.safetensors")
    for who, logits in found.logits.items():
        if len(logits) != len(test):
            raise DataError(
                f"there are {len(logits)} answers of {who} for {len(test)} test rows.",
                where=who,
                fix="Run the step that made them again.",
            )
        odd = ~logits.isfinite().all(dim=1)
        _refuse(odd, test, f"an answer of {who} that is no number", f"logits of {who}")


def _refuse(odd: Tensor, test: Dataset, what: str, where: str) -> None:
    if odd.any():
        rows = test.rows[odd].tolist()
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise DataError(
            f"row {rows[0]} has {what}{more}.",
            where=where,
            fix="Look at this row: a missing cell, a wrong code, or a model that overflows.",
        )
