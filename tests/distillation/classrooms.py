"""Methods in a classroom: what they make of a batch when student, teacher and rows are there."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from training.blobs import blobs, net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.live import Pair
from stillhouse.distillation.method import Method
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs

DATA = blobs(24)
TEACHER = net(DATA, seed=9).eval()
with torch.no_grad():
    ANSWERS = TEACHER(DATA.inputs)


def rows(count: int = 8, *, labelled: bool = True, step: int = 0) -> Batch:
    targets = DATA.targets[:count] if labelled else torch.full((count,), -1)
    return Batch(DATA.inputs[:count], targets, targets >= 0, torch.arange(count), step=step)


@dataclass(frozen=True)
class Attacked:
    """A method that has made rows of a batch, in a classroom where table columns are measured in
    their standard deviations.
    """

    method: Method
    model: Classifier
    teacher: Classifier
    batch: Batch
    inputs: Tensor

    @property
    def low(self) -> Tensor:
        return torch.minimum(self.method.classroom.space.low, self.batch.inputs)

    @property
    def high(self) -> Tensor:
        return torch.maximum(self.method.classroom.space.high, self.batch.inputs)

    @property
    def distance(self) -> float:
        """The largest, in the method's norm."""
        scaled = (self.inputs - self.batch.inputs) / self.method.classroom.space.scale
        order = 2 if getattr(self.method, "norm", "linf") == "l2" else torch.inf
        return float(torch.linalg.vector_norm(scaled, order, dim=1).max())

    def loss(self) -> Tensor:
        told = Outputs(self.method.classroom.stored(self.batch))
        return self.method(Outputs(self.model(self.inputs)), told, self.batch)


def attacked(method: Method, *, labelled: bool = True, step: int = 0, steps: int = 0) -> Attacked:
    """Let a method look for its rows."""
    model = net(DATA, seed=1).train()
    method.enter(Pair(model, TEACHER, DATA, steps).classroom(ANSWERS, None))
    batch = rows(labelled=labelled, step=step)
    found = method.inputs(model, batch, torch.Generator().manual_seed(0))
    return Attacked(method, model, TEACHER, batch, found)


def taught(
    method: Method, *, live: bool = True, answers: bool = True, data: Dataset = DATA
) -> Tensor:
    """Return the objective's loss of a batch."""
    torch.manual_seed(0)
    model = net(data, seed=1)
    objective = Distillation(
        method=method,
        selector=All(),
        supervised=0.0,
        answers=ANSWERS if answers else None,
        pair=Pair(model, TEACHER if live else None, data),
    )
    return objective(model, rows())


def lone(method: Method) -> Tensor:
    """Return the loss where there is no teacher at all."""
    return taught(method, live=False, answers=False)


def unlabelled() -> Dataset:
    return replace(DATA, targets=torch.full_like(DATA.targets, -1))
