"""A teacher that somebody exported: an ONNX file, asked in ONNX Runtime on one thread."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse import config
from stillhouse.config import InputFile, Positive
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.models import onnx_file
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.feeds import FLOATS, Feeds
from stillhouse.teachers.probabilities import Asked, form_of, outputs_of
from stillhouse.teachers.scaling import by_feature, scaled
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json

MODEL, FORM = "teacher.onnx", "form.json"
WEIGHT_TYPES = (
    1,
    2,
    3,
    10,
    11,
    16,
)  # float, uint8, int8, float16, double, bfloat16: the rest are shapes and indices
TRIED = 64  # val rows that tell probabilities from logits


class Onnx(Teacher):
    """Reads a model with an output [N, C] of logits or probabilities, or of a quantity's values,
    and one input, rows in data space or shifted and scaled from it. A table's model may take
    columns by name instead, as this house's own students do: categories as texts, an empty one
    where a cell is missing, and numbers.

    Args:
        path: The file; its weights are inside.
        output: Whether it answers logits or probabilities; `auto` looks at its answers to some val
            rows.
        classes: Class names by column of its output (of quantiles `q0.1` and so on); empty: the
            data's order, or of several labels a row the names that a student of this house has in
            its file.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature (an
            image's or a series' channel); empty: nothing.
        std: What it was trained to have its rows divided by then, likewise; `[0.003922]` (1/255)
            turns images in [0, 1] into 0 to 255.
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
        """Return the files that make this teacher, from the bytes of an ONNX file. Errors as
        `learn`.
        """
        session = Session(data, lesson.val.schema, where=where)
        scale = {
            "mean": by_feature(self.mean, lesson.val.schema, "teacher.mean"),
            "std": by_feature(self.std, lesson.val.schema, "teacher.std"),
        }
        answers = session(scaled(lesson.val.inputs[:TRIED], scale, lesson.val.schema))
        require_count(answers.shape[1], lesson.val.schema, where=where)
        form = form_of(self.output, answers, lesson.val.schema, where="teacher.output")
        names = self.classes or (session.labels if lesson.val.schema.labels else ())
        columns = order(names, lesson.val.schema, where="teacher.classes")
        return {
            MODEL: data,
            FORM: dump_json(
                {
                    "output": form,
                    "columns": columns,
                    **{key: value for key, value in scale.items() if value},
                }
            ),
        }

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        form = json.loads(files[FORM])
        require_count(len(form["columns"]), schema, where=MODEL)
        return Exported(Session(files[MODEL], schema, where=MODEL), form, schema)


class Exported(Oracle):
    """An ONNX model that answers; a black box."""

    divisible = True

    def __init__(self, session: "Session", form: Mapping[str, Any], schema: Schema) -> None:
        self._session, self._form, self._schema = session, form, schema
        self._output, self._columns = form["output"], form["columns"]
        self.parameters = session.parameters

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        answers = self._session(scaled(inputs, self._form, self._schema))
        if answers.ndim != 2 or answers.shape[1] != len(self._columns):
            raise SourceError(
                f"the teacher answers {list(answers.shape)}, not [N, {len(self._columns)}].",
                where=MODEL,
                fix="Export it again, batch first.",
            )
        ordered = answers[:, self._columns]
        return outputs_of(ordered, self._output)


class Session:
    """An ONNX model in ONNX Runtime: rows in, the first output [N, C] of floats out, or [N] as
    [N, 1] where it has no such.

    Args:
        data: The file's bytes.
        schema: What a row is.
        where: The file, for messages.

    Raises:
        SourceError: The file is not what `onnx_file.read` accepts, does not load, or takes other
            rows.
    """

    def __init__(self, data: bytes, schema: Schema, *, where: str) -> None:
        self._where = where
        model = onnx_file.read(data, where)
        self.labels = onnx_file.labels_of(model)
        self.parameters = sum(
            int(np.prod(tensor.dims))
            for tensor in model.graph.initializer
            if tensor.data_type in WEIGHT_TYPES
        )
        self._session = _open(data, where)
        self._feeds = Feeds(self._session.get_inputs(), schema, where)
        outputs = [o for o in self._session.get_outputs() if o.type in FLOATS]
        ranked = sorted(outputs, key=lambda o: len(o.shape or ()) == 1)  # [N] if there is no [N, C]
        self._output = next((o.name for o in ranked if len(o.shape or ()) in (0, 1, 2)), "")
        if not self._output:
            names = ", ".join(f"{o.name} {o.type} {o.shape}" for o in self._session.get_outputs())
            raise SourceError(
                f"it has no output [N, C] of floats, only {names}.",
                where=where,
                fix="Export the scores as a tensor (zipmap off).",
            )

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return answers [B, C] to rows [B, *shape]; a model of a fixed batch gets full ones, the
        last filled up with its last row.
        """
        size = self._feeds.batch or max(len(inputs), 1)
        parts = [
            self._ask(inputs[start : start + size], size) for start in range(0, len(inputs), size)
        ]
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def _ask(self, inputs: Tensor, size: int) -> Tensor:
        rows = inputs.numpy()
        full = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
        try:
            [answers] = self._session.run([self._output], self._feeds(full))
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise SourceError(
                f"the model cannot answer: {_short(error)}",
                where=self._where,
                fix="Export it for such rows, batch first.",
            ) from None
        found = torch.from_numpy(np.array(answers, dtype=np.float32))[: len(rows)]
        return found.unsqueeze(1) if found.ndim == 1 else found


def _open(data: bytes, where: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its warnings go to stderr past our own
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise SourceError(
            f"ONNX Runtime cannot load the model: {_short(error)}",
            where=where,
            fix="Export it again.",
        ) from None


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
