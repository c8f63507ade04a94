"""A workspace in which the steps before `export` have left their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.architectures.build import build_classifier
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.statistics import statistics
from stillhouse.environment import Place
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.steps import tried
from stillhouse.steps.siblings import weights
from stillhouse.steps.step import Job
from stillhouse.steps.tried import Tried
from stillhouse.teachers.recall import fingerprint
from stillhouse.workspace import StepFiles, Workspace, dump_tensors

CLASSES = ("a", "b", "c")
SCHEMAS = {
    "image": Schema("image", (1, 8, 8), CLASSES, (Feature("grey", low=0.0, high=1.0),)),
    "table": Schema(
        "table",
        (3,),
        CLASSES,
        (
            Feature("age", missing=True),
            Feature("lab"),
            Feature("sex", kind="category", categories=("f", "m"), missing=True),
        ),
    ),
}
SPEC = {"name": "mlp", "width": 24, "depth": 1}


def rows(kind: str, count: int, seed: int) -> Dataset:
    """Rows of three classes that a small net tells apart, not always."""
    schema, generator = SCHEMAS[kind], torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 3, (count,), generator=generator)
    noise = torch.randn(count, *schema.shape, generator=generator)
    if kind == "image":
        inputs = 0.4 + 0.15 * noise
        for at in range(3):
            inputs[targets == at, :, 2 * at : 2 * at + 3] += 0.15
        return Dataset(inputs.clamp(0, 1), targets, schema, torch.arange(count))
    inputs = torch.stack(
        [
            40 + 15 * targets + 8 * noise[:, 0],
            targets + 0.5 * noise[:, 1],
            (noise[:, 2] > 0).float(),
        ],
        dim=1,
    )
    inputs[::7, 0] = inputs[::11, 2] = torch.nan
    return Dataset(inputs, targets, schema, torch.arange(count))


def student(train: Dataset, seed: int = 0) -> Classifier:
    """A small net after a hundred steps."""
    model = build_classifier(
        SPEC, train.schema, Normalize.fit(train.inputs, train.schema), seed, "distill.student"
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train.inputs), train.targets).backward()
        optimizer.step()
    return model.eval()


def workspace(root: Path, kind: str = "image") -> Workspace:
    """Write what `prepare` and `distill` write."""
    made = Workspace(root)
    train, test = rows(kind, 240, 1), rows(kind, 150, 2)
    _tensors(
        made,
        "prepare/train",
        {**prepared.tensors(train), "picked": torch.ones(len(train), dtype=torch.uint8)},
    )
    _tensors(made, "prepare/val", prepared.tensors(rows(kind, 80, 3)))
    _tensors(made, "prepare/test", prepared.tensors(test))
    _tensors(made, "prepare/val", prepared.tensors(rows(kind, 60, 3)))
    made.write_json("artifacts/prepare/schema.json", train.schema.as_dict())
    made.write_json("artifacts/prepare/data.json", {"statistics": statistics(train)})
    model = student(train)
    _tensors(made, "distill/student", model.state_dict())
    _tensors(made, "distill/plain", {})
    siblings = {("none", 0): student(train, seed=3), ("student", 1): student(train, seed=1)}
    _tensors(made, "distill/siblings", weights(siblings))
    made.write_json(
        "artifacts/distill/arms.json",
        {"arms": [{"name": arm, "settings": {"student": SPEC}} for arm, _ in siblings]},
    )
    trials = [(Tried(n, SPEC, {}), student(train, seed=3 + n).state_dict()) for n in (4, 2)]
    tried.write(StepFiles(made, "tune"), trials)
    settle(made, "tune")
    made.write_json(
        "artifacts/distill/student.json",
        {"architecture": SPEC, "parameters": 1, "macs": 1, "method": {"name": "kd"}, "taps": []},
    )
    return made


def _tensors(made: Workspace, name: str, tensors: Mapping[str, Tensor]) -> None:
    made.write_bytes(f"artifacts/{name}.safetensors", dump_tensors(tensors))


def job(made: Workspace, step: str, section: Mapping[str, Any]) -> Job:
    """A job as the runner gives it."""
    place = Place(made.root, "", None, None, None, 1)
    return Job(StepFiles(made, step), {step: dict(section)}, place)


def settle(made: Workspace, step: str) -> None:
    """Move a step's new files into place, as the runner does."""
    target = made.artifacts / step
    target.parent.mkdir(parents=True, exist_ok=True)
    StepFiles(made, step).fresh.rename(target)


def fitted_teacher(made: Workspace, kind: str = "image") -> None:
    """Store a torch teacher, as the step `teacher` does."""
    weights = dump_tensors(student(rows(kind, 240, 1), seed=7).state_dict())
    _teacher(made, {"name": "fit", "architecture": SPEC}, {"teacher.safetensors": weights})


def listed_teacher(made: Workspace) -> None:
    """Store a teacher that is a list of probabilities."""
    answers = dump_tensors(
        {"rows": torch.arange(240), "probabilities": torch.full((240, 3), 1 / 3)}
    )
    _teacher(made, {"name": "predictions", "path": "p.npz"}, {"predictions.safetensors": answers})


def _teacher(made: Workspace, spec: Mapping[str, Any], held: Mapping[str, bytes]) -> None:
    made.remove("artifacts/teacher")
    for name, data in held.items():
        made.write_bytes(f"artifacts/teacher/model/{name}", data)
    made.write_json(
        "artifacts/teacher/teacher.json",
        {"name": spec["name"], "spec": dict(spec), "fingerprint": fingerprint(spec, held)},
    )
