"""A teacher that only says the class: what it says of many rows close by makes a probability."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from stillhouse import config
from stillhouse.config import Count, Natural, Positive, Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, SourceError
from stillhouse.models.access import accept
from stillhouse.teachers.probabilities import log_probabilities
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_tensors, parse_tensors

SCALE = "votes.safetensors"
POOL = 256  # train rows whose codes may be swapped in


class Votes(Teacher):
    """Asks another teacher about noisy copies of each row and counts its decisions, as randomised
    smoothing does; of what it says beside them nothing is used.

    It costs `samples` answers for each row. The copies follow from the row alone, so that it
    answers the same whenever it is asked.

    Args:
        of: The teacher that decides, with its settings: `{name: endpoint, url: …}`.
        samples: Copies a row, the row itself among them.
        noise: Standard deviation of what is added to a number, in those of its column (or channel)
            in train; the chance with which a category is swapped for another train row's.
        smoothing: Laplace's: so many votes each class has before any is cast, so that no
            probability is 0.
        seed: Of the noise.

    Source:
        Cohen, Rosenfeld and Kolter 2019, "Certified adversarial robustness via randomized
        smoothing", arXiv:1902.02918, section 3.2 (sampling under noise).
    """

    def __init__(
        self,
        *,
        of: Spec,
        samples: Count = 32,
        noise: Positive = 0.25,
        smoothing: Positive = 1.0,
        seed: Natural = 0,
    ) -> None:
        self.name = str(of.get("name"))
        self.of: Teacher = config.plugin("teachers", of, where="teacher.of")
        self.samples, self.noise, self.smoothing, self.seed = samples, noise, smoothing, seed

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        train = lesson.train
        if not train.schema.classes:
            raise SettingsError(
                "votes count the one class that a teacher names, and "
                f"{'rows have several labels' if train.schema.labels else 'this is a quantity'}.",
                where="teacher.name",
                fix="Bring the model itself (onnx, endpoint), or its probabilities.",
            )
        accept(self.name, self.of.accepts, train.schema.kind)
        axis = train.schema.feature_axis
        columns = train.inputs.movedim(axis, 0).flatten(1).double()
        mean = columns.nanmean(dim=1, keepdim=True)
        spread = (columns - mean).square().nanmean(dim=1).sqrt().nan_to_num(nan=0.0).float()
        pool = train.inputs[:: max(1, len(train) // POOL)][:POOL]
        made = {f"of/{name}": data for name, data in self.of.learn(lesson).items()}
        return {**made, SCALE: dump_tensors({"spread": self.noise * spread, "pool": pool})}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        inner = {name.removeprefix("of/"): data for name, data in files.items() if name != SCALE}
        oracle = self.of.recall(inner, schema)
        if oracle.by_row:
            raise SourceError(
                f"the teacher '{self.name}' answers by a row's number and never looks at noise.",
                where="teacher.of",
                fix="Bring the model itself (onnx, endpoint), or its probabilities.",
            )
        return Voting(oracle, schema, self, parse_tensors(files[SCALE], where=SCALE))


class Voting(Oracle):
    """A decider whose votes are counted; a black box."""

    def __init__(
        self, oracle: Oracle, schema: Schema, settings: Votes, scale: Mapping[str, Tensor]
    ) -> None:
        self._oracle, self._schema, self._settings, self._scale = oracle, schema, settings, scale
        self.parameters, self.usd_per_row = oracle.parameters, oracle.usd_per_row
        self.asks = settings.samples * oracle.asks

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        count, classes = self._settings.samples, len(self._schema.classes)
        told = self._oracle.logits(self._copies(inputs), rows.repeat_interleave(count))
        cast = one_hot(told.argmax(dim=1), classes).double()
        votes = cast.view(len(inputs), count, classes).sum(dim=1) + self._settings.smoothing
        return log_probabilities(votes / votes.sum(dim=1, keepdim=True))

    def _copies(self, inputs: Tensor) -> Tensor:
        """Return [B × S, *shape]: each row, and after it its noisy copies."""
        return torch.cat([self._around(row) for row in inputs] or [inputs])

    def _around(self, row: Tensor) -> Tensor:
        settings = self._settings
        digest = hashlib.sha256(str(settings.seed).encode() + row.contiguous().numpy().tobytes())
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest()[:8], "big") >> 1)
        shape = [settings.samples, *row.shape]
        noise = torch.randn(shape, generator=generator)
        swap = torch.rand(shape, generator=generator) < settings.noise
        other = torch.randint(len(self._scale["pool"]), shape[:1], generator=generator)
        moved = row + noise * self._along(self._scale["spread"])
        kinds = [feature.kind for feature in self._schema.features]
        whole = self._along(torch.tensor([kind == "integer" for kind in kinds]))
        coded = self._along(torch.tensor([kind in ("category", "binary") for kind in kinds]))
        moved = torch.where(whole, moved.round(), moved)
        moved = torch.where(coded, torch.where(swap, self._scale["pool"][other], row), moved)
        low, high = self._bounds()
        return torch.cat([row[None], moved.clamp(low, high)[1:]])

    def _bounds(self) -> tuple[Tensor, Tensor]:
        infinite, features = float("inf"), self._schema.features
        low = [-infinite if f.low is None else f.low for f in features]
        high = [infinite if f.high is None else f.high for f in features]
        return self._along(torch.tensor(low)), self._along(torch.tensor(high))

    def _along(self, values: Tensor) -> Tensor:
        """Return values [D] so that they meet the features of [S, *shape]."""
        shape = [1] * (1 + len(self._schema.shape))
        shape[self._schema.feature_axis] = -1
        return values.view(shape)

    def keep_in(self, folder: Path) -> None:
        self._oracle.keep_in(folder)

    def unpaid(self, inputs: Tensor) -> int:
        return self._oracle.unpaid(self._copies(inputs)) if self.usd_per_row else 0

    def require_money(self, rows: int) -> None:
        self._oracle.require_money(rows)

    def require_same(self, inputs: Tensor, rows: Tensor) -> None:
        self._oracle.require_same(inputs, rows)
