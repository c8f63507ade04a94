"""A teacher that somebody exported with `torch.export`: a graph of operators and raw weights."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.config import InputFile, Positive
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers import pt2
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.graph import Program
from stillhouse.teachers.probabilities import Asked, form_of, outputs_of
from stillhouse.teachers.scaling import by_feature, scaled
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json

MODEL, FORM = "teacher.pt2", "form.json"
TRIED = 64  # val rows that tell probabilities from logits


class Exported(Teacher):
    """Reads a program that `torch.export.save` wrote: rows in, logits or
    probabilities [N, C] out; of a quantity its values.

    The file is not loaded as torch loads it, which would unpickle: its graph is run operator by
    operator, known ones only.

    Args:
        path: The `.pt2` file.
        output: What it answers; `auto` looks at its answers to some val rows.
        classes: Class names by column of its output; empty: the data's order.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature;
            empty: nothing.
        std: What it was trained to have its rows divided by then, likewise.
    """

    def __init__(
        self,
        *,
        path: InputFile,
        output: Asked = "auto",
        classes: tuple[str, ...] = (),
        mean: tuple[float, ...] = (),
        std: tuple[Positive, ...] = (),
    ) -> None:
        self.path, self.output, self.classes, self.mean, self.std = path, output, classes, mean, std

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        path = config.file_of(self.path, lesson.root)
        if not path.is_file():
            raise SourceError(
                f"there is no file '{path.name}'.",
                where=str(path),
                fix="Check the path; relative ones start at params.yaml.",
            )
        return self.take(path.read_bytes(), lesson, where=path.name)

    def take(self, data: bytes, lesson: Lesson, *, where: str) -> Mapping[str, bytes]:
        """Return the files that make this teacher, from the bytes of a .pt2 file. Errors as
        `learn`.
        """
        schema = lesson.val.schema
        form: dict[str, Any] = {
            "mean": by_feature(self.mean, schema, "teacher.mean"),
            "std": by_feature(self.std, schema, "teacher.std"),
            "columns": order(self.classes, schema, where="teacher.classes"),
        }
        program = Program(pt2.read(data, where), where)
        with torch.no_grad():
            answers = program(scaled(lesson.val.inputs[:TRIED], form, schema))
        if answers.ndim != 2:
            raise SourceError(
                f"it answers {list(answers.shape)}, not [N, C].",
                where=where,
                fix="Export a net that answers a row of numbers each.",
            )
        require_count(answers.shape[1], schema, where=where)
        form["output"] = form_of(self.output, answers, schema, where="teacher.output")
        return {MODEL: data, FORM: dump_json(form)}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        form = json.loads(files[FORM])
        require_count(len(form["columns"]), schema, where=MODEL)
        return Running(Prepared(Program(pt2.read(files[MODEL], MODEL), MODEL), form, schema))


class Prepared(nn.Module):
    """A program behind its scaling, its outputs in the data's order."""

    def __init__(self, program: Program, form: Mapping[str, Any], schema: Schema) -> None:
        super().__init__()
        self.program, self._form, self._schema = program, form, schema

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of rows [B, *shape] in data space."""
        answers = self.program(scaled(inputs, self._form, self._schema))
        ordered: Tensor = answers.float()[:, self._form["columns"]]
        return outputs_of(ordered, self._form["output"])


class Running(Oracle):
    """An exported program that answers; gradients go through it, features have no names in it."""

    gives = frozenset({"logits", "gradients"})
    divisible = True

    def __init__(self, model: Prepared) -> None:
        self.module = model.eval()
        self.parameters = model.program.weights
        self._model = model

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        with torch.no_grad():
            found: Tensor = self._model(inputs)
        return found
