"""All that a training is between two steps: what a checkpoint must hold, and the parts that the
loop moves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.data.dataset import Dataset, known
from stillhouse.errors import DataError, SettingsError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import Task, task_of
from stillhouse.models.classifier import Classifier
from stillhouse.models.device import device_of
from stillhouse.models.outputs import Batch
from stillhouse.training import checkpoint as disk
from stillhouse.training.average import Average
from stillhouse.training.objective import Objective
from stillhouse.training.optimizers import optimizer, optimizer_settings
from stillhouse.training.pace import Pace, laid
from stillhouse.training.randomness import random_state, set_random_state
from stillhouse.training.schedule import Order, learning_rate, report_epochs
from stillhouse.training.settings import FitSettings

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Epoch:
    """A point of the training curve.

    Attributes:
        epoch: From 1; at most 40 are reported, all of them with patience.
        step: Optimiser steps taken.
        loss: Mean over the steps since the last point.
        val_score: Accuracy, or R² of a quantity, of the weights that would be kept now; NaN without
            labelled val rows.
        val_loss: NLL (nats), or RMSE of a quantity; NaN without labelled val rows.
    """

    epoch: int
    step: int
    loss: float
    val_score: float
    val_loss: float


@dataclass
class Training:
    """One training in progress."""

    model: Classifier
    objective: Objective
    train: Dataset
    val: Dataset
    settings: FitSettings
    order: Order
    steps: int
    optimizer: torch.optim.Optimizer
    weights: list[nn.Parameter]
    average: Average
    identity: str = ""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        model: Classifier,
        objective: Objective,
        train: Dataset,
        val: Dataset,
        settings: FitSettings,
    ) -> "Training":
        if not len(train):
            raise DataError(
                "there are no rows to learn from.", where="train", fix="Give the train split rows."
            )
        labelled = val.labelled
        if settings.patience is not None and not len(labelled):
            raise SettingsError(
                "patience needs labelled val rows to look at.",
                where="patience",
                fix="Leave patience out, or give the val split rows.",
            )
        if len(told := train.targets[known(train.targets)]):
            model.learn_scale(told)
        objective.to(device_of(model))
        order = Order(len(train), settings.batch, settings.seed)
        made = optimizer(
            optimizer_settings(settings.optimizer, "optimizer"), [model.train(), objective.train()]
        )
        for group in made.param_groups:
            group["full_lr"] = group["lr"]
        weights = [weight for group in made.param_groups for weight in group["params"]]
        steps = settings.steps or settings.epochs * order.per_epoch
        return cls(
            model,
            objective,
            train,
            labelled,
            settings,
            order,
            steps,
            made,
            weights,
            Average(model, settings.ema),
        )

    @property
    def task(self) -> Task:
        return task_of(self.train.schema)

    @property
    def epochs(self) -> int:
        return math.ceil(self.steps / self.order.per_epoch)

    @property
    def epoch(self) -> int:
        return math.ceil(self.step / self.order.per_epoch)

    @property
    def finished(self) -> bool:
        return self.step >= self.steps or self._tired

    @property
    def _tired(self) -> bool:
        return (
            self.settings.patience is not None
            and self.best is not None
            and self.history[-1].epoch - self.best.epoch >= self.settings.patience
        )

    @property
    def at_report(self) -> bool:
        if self.step == self.steps:
            return True
        return self.step % self.order.per_epoch == 0 and (
            self.settings.patience is not None or self.epoch in self._reported
        )

    def __post_init__(self) -> None:
        self._reported = report_epochs(self.epochs)

    def batch(self, pace: Pace = "plain") -> Batch:
        at = self.order.at(self.step)
        targets, device = self.train.targets[at], self.weights[0].device
        inputs = self.train.inputs[at]
        return Batch(
            laid(inputs.to(device), pace),
            targets.to(device),
            known(targets).to(device),
            at.to(device),
            step=self.step,
        )

    def set_learning_rate(self) -> None:
        share = learning_rate(self.step, self.steps, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * share

    def count(self, loss: float) -> None:
        self.step += 1
        self.losses.append(loss)

    def judge(self, progress: Progress) -> None:
        score = val_loss = math.nan
        if len(self.val):
            logits = logits_of(self.average.model, self.val.inputs)
            score, val_loss = self.task.curve(logits.cpu(), self.val.targets.cpu())
        mean_loss = math.fsum(self.losses) / len(self.losses)
        now = Epoch(self.epoch, self.step, mean_loss, score, val_loss)
        self.losses.clear()
        self.history.append(now)
        if self.settings.patience is not None and (
            self.best is None
            or (now.val_score, -now.val_loss) > (self.best.val_score, -self.best.val_loss)
        ):
            self.best = now
            self.best_weights = {
                name: tensor.detach().clone()
                for name, tensor in self.average.model.state_dict().items()
            }
        watched = f"loss {now.loss:.4f}, val {self.task.score} {score:.3f}"
        progress(self.epoch, self.epochs, f"epoch {self.epoch}/{self.epochs}, {watched}")

    def keep(self) -> int:
        """Give the model the weights that were judged best, and return their epoch."""
        if self.best is not None:
            self.model.load_state_dict(self.best_weights)
        elif self.average.model is not self.model:
            self.model.load_state_dict(self.average.model.state_dict())
        last = self.best or (self.history[-1] if self.history else None)
        return self.epoch if last is None else last.epoch

    def save(self, path: Path) -> None:
        tensors = {
            **disk.under("model", self.model.state_dict()),
            **disk.under("objective", self.objective.state_dict()),
            **disk.under("optimizer", disk.moments(self.optimizer)),
            **disk.under("best", self.best_weights),
            **disk.under("random", random_state()),
            "step": torch.tensor([self.step, self.best.step if self.best else 0]),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "history": torch.tensor(
                [[e.epoch, e.step, e.loss, e.val_score, e.val_loss] for e in self.history],
                dtype=torch.float64,
            ).reshape(-1, 5),
        }
        if self.average.model is not self.model:
            tensors |= disk.under("average", self.average.model.state_dict())
        disk.save(path, tensors, self.identity)

    def resume(self, path: Path | None, progress: Progress) -> None:
        """Go on where a checkpoint of this very training stopped; do nothing where there is
        none.
        """
        if path is None:
            return
        data = {
            "train/inputs": self.train.inputs,
            "train/targets": self.train.targets,
            "val/inputs": self.val.inputs,
            "val/targets": self.val.targets,
        }
        self.identity = disk.identity_of(
            {"model": self.model, "objective": self.objective}, data, repr(self.settings)
        )
        tensors, remark = disk.load(path, self.identity)
        if remark:
            progress(0, self.epochs, remark)
        if not tensors:
            return
        self.model.load_state_dict(disk.inside(tensors, "model"))
        self.objective.load_state_dict(disk.inside(tensors, "objective"))
        disk.restore_moments(self.optimizer, disk.inside(tensors, "optimizer"))
        if self.average.model is not self.model:
            self.average.model.load_state_dict(disk.inside(tensors, "average"))
        set_random_state(disk.inside(tensors, "random"))
        self.step, best_step = (int(value) for value in tensors["step"])
        self.losses = tensors["losses"].tolist()
        self.history = [
            Epoch(int(epoch), int(step), loss, score, val_loss)
            for epoch, step, loss, score, val_loss in tensors["history"].tolist()
        ]
        self.best = next((e for e in self.history if best_step and e.step == best_step), None)
        self.best_weights = disk.inside(tensors, "best")
        progress(self.epoch, self.epochs, f"going on after step {self.step}")
