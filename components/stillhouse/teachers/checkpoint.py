"""A teacher that somebody trained in torch: safetensors weights, and the architecture that they
belong to.
"""

import json
from collections.abc import Mapping

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.architectures.build import build_classifier
from stillhouse.config import InputFile, Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, SourceError
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.classes import order
from stillhouse.teachers.fit import Trained
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json, dump_tensors, load_tensors, parse_tensors

WEIGHTS, FORM = "teacher.safetensors", "form.json"
NORMALIZE, NET = "normalize.", "net."


class Checkpoint(Teacher):
    """Reads the weights of a net, or of a whole classifier of ours (a `student.safetensors`), which
    knows its normalisation.

    Args:
        path: The safetensors file; other kinds of checkpoints are pickles and refused.
        architecture: The net: `{name: resnet, depth: 56}`; `stillhouse plugins` lists them.
        mean: What the net's training subtracted from each channel or column, in data space (images:
            of pixels in [0, 1]); needed for weights of a net alone.
        std: What it then divided by.
        classes: Class names by column of its answers; empty: the data's order.
    """

    def __init__(
        self,
        *,
        path: InputFile,
        architecture: Spec,
        mean: tuple[float, ...] = (),
        std: tuple[float, ...] = (),
        classes: tuple[str, ...] = (),
    ) -> None:
        config.check_spec("architectures", architecture, where="teacher.architecture")
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise SettingsError(
                f"mean {list(mean)} and std {list(std)} are no pairs, or a std is not above 0.",
                where="teacher.std",
                fix="Give both per channel.",
            )
        self.path, self.architecture, self.mean, self.std, self.classes = (
            path,
            architecture,
            mean,
            std,
            classes,
        )

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        path, schema = config.file_of(self.path, lesson.root), lesson.train.schema
        found = load_tensors(path)
        columns = order(self.classes, schema, where="teacher.classes")
        whole = any(name.startswith(NORMALIZE) for name in found)
        weights = found if whole else {f"{NET}{name}": tensor for name, tensor in found.items()}
        if whole and self.mean:
            raise SettingsError(
                "the checkpoint holds its own normalisation.",
                where="teacher.mean",
                fix="Leave mean and std out.",
            )
        model = self._build(schema, columns)
        if not whole:
            self._normalize(model.normalize, path.name)
            weights |= {
                f"{NORMALIZE}{name}": tensor
                for name, tensor in model.normalize.state_dict().items()
            }
        _load(model, weights, path.name)
        return {WEIGHTS: dump_tensors(model.state_dict()), FORM: dump_json({"columns": columns})}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        columns = json.loads(files[FORM])["columns"]
        model = self._build(schema, columns)
        _load(model, parse_tensors(files[WEIGHTS], where=WEIGHTS), WEIGHTS)
        return Trained(model)

    def _build(self, schema: Schema, columns: list[int]) -> "Ordered":
        plain = build_classifier(
            self.architecture, schema, Normalize.empty(schema), 0, "teacher.architecture"
        )
        return Ordered(plain, columns)

    def _normalize(self, normalize: Normalize, where: str) -> None:
        count = normalize.mean.numel()
        if len(self.mean) != count:
            said = (
                f"the file holds a net alone, and {len(self.mean)} means are given for its "
                f"{count} channels or columns of numbers."
            )
            fix = "Set mean and std, one a channel; 0 and 1 where its training did not normalise."
            raise SourceError(said, where=where, fix=fix)
        normalize.mean.copy_(torch.tensor(self.mean).reshape(normalize.mean.shape))
        normalize.spread.copy_(torch.tensor(self.std).reshape(normalize.spread.shape))


class Ordered(Classifier):
    """A classifier that answers in the data's order of classes, whatever its net's is."""

    columns: Tensor

    def __init__(self, plain: Classifier, columns: list[int]) -> None:
        super().__init__(plain.normalize, plain.net)
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).index_select(1, self.columns)


def _load(model: Classifier, weights: Mapping[str, Tensor], where: str) -> None:
    """Load weights, and say first of all which are missing, left over or of another shape.

    Raises:
        SourceError: They are not those of this net, or not finite.
    """
    wanted = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    given = {
        name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")
    }
    fix = "Set the architecture that these weights were trained in."
    for names, said in (
        (set(wanted) - set(given), "is missing"),
        (set(given) - set(wanted), "belongs to no layer of the architecture"),
    ):
        if names:
            name = min(names).removeprefix(NET)
            raise SourceError(
                f"the weight '{name}' {said} ({len(names)} such weights).", where=where, fix=fix
            )
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            said = (
                f"the weight '{name.removeprefix(NET)}' has the shape {list(given[name].shape)}, "
                f"the architecture's {list(tensor.shape)}."
            )
            raise SourceError(
                said, where=where, fix=f"{fix} Classes and channels must be the data's."
            )
        if not given[name].isfinite().all():
            raise SourceError(
                f"the weight '{name.removeprefix(NET)}' is not finite.",
                where=where,
                fix="Take another checkpoint.",
            )
    model.load_state_dict(dict(given), strict=False)
