"""The prepared data as other steps read them."""

from typing import Literal

from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.workspace import StepFiles

SplitName = Literal["train", "val", "test"]


def tensors(dataset: Dataset) -> dict[str, Tensor]:
    """Return a data set's tensors by the names that they have in its file."""
    named = {
        "inputs": dataset.inputs,
        "targets": dataset.targets,
        "rows": dataset.rows,
        "groups": dataset.groups,
        "time": dataset.time,
    }
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def schema(files: StepFiles) -> Schema:
    """Return what a row is."""
    return Schema.from_dict(files.read_json("prepare/schema.json"))


def load(files: StepFiles, split: SplitName) -> Dataset:
    """Return all rows of a split; the targets of train are −1 where the student may not see them.

    Raises:
        SourceError: The step `prepare` has not run.
    """
    return _dataset(files.read_tensors(f"prepare/{split}.safetensors"), schema(files))


def picked(files: StepFiles) -> Dataset:
    """Return the train rows that the student's arms see, in the order of train; targets are −1
    where unlabelled.
    """
    found = files.read_tensors("prepare/train.safetensors")
    return _dataset(found, schema(files)).take(found["picked"] == 1)


def withheld(files: StepFiles) -> Dataset:
    """Return all train rows with all their targets. Only the step `teacher` may ask: it stands for
    a model that was trained elsewhere.
    """
    found = files.read_tensors("prepare/train.safetensors")
    return _dataset(
        {**found, "targets": files.read_tensors("prepare/withheld.safetensors")["targets"]},
        schema(files),
    )


def _dataset(found: dict[str, Tensor], what: Schema) -> Dataset:
    return Dataset(
        found["inputs"],
        found["targets"],
        what,
        found["rows"],
        found.get("groups"),
        found.get("time"),
    )
