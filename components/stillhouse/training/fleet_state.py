"""All that a fleet is between two steps: what a checkpoint must hold, and how it loses members."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.data.dataset import Dataset, known
from stillhouse.errors import TrainingFailed
from stillhouse.models.classifier import Classifier
from stillhouse.models.device import device_of
from stillhouse.models.outputs import Batch
from stillhouse.training import checkpoint as disk
from stillhouse.training.descent import Descent
from stillhouse.training.objective import Losses, Objective
from stillhouse.training.optimizers import optimizer_settings
from stillhouse.training.schedule import Order, learning_rate
from stillhouse.training.settings import FitSettings
from stillhouse.training.stack import Stack

IDENTITY = "fleet"
# Bytes that the layers of the members that go through a step together may give: what a processor's
# last cache holds is read back twice as fast, and a study's memory stays that of its data.
ROOM = 2**23
FEWEST = 2  # members that go together all the same


@dataclass(frozen=True)
class Member:
    """One of the models that are trained together.

    Attributes:
        model: Gets the weights at the end.
        objective: Its loss.
        settings: How it is trained.
    """

    model: Classifier
    objective: Objective
    settings: FitSettings


@dataclass
class Fleet:
    """Several trainings in progress, step by step together.

    Attributes:
        members: All of them, failed ones included.
        train: Rows.
        alive: Places in `members` of those that are still trained; the stack has them in this
            order.
        failed: By place, why a member's training ended.
        stack: The nets of those alive.
        descent: Their optimisers.
        average: Moving averages of their weights [k, P]; None where nobody has one.
        step: Optimiser steps taken.
        last: The losses [k] of those alive at the last step; none before the first.
    """

    members: Sequence[Member]
    train: Dataset
    alive: list[int]
    stack: Stack
    descent: Descent
    average: Tensor | None
    digests: list[str] = field(default_factory=list)
    failed: dict[int, TrainingFailed] = field(default_factory=dict)
    step: int = 0
    last: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        first = self.members[0].settings
        self.per_epoch = self._order(first).per_epoch
        self.steps = first.steps or first.epochs * self.per_epoch
        self.labelled = known(self.train.targets)
        self._tables()

    @classmethod
    def start(cls, members: Sequence[Member], train: Dataset) -> "Fleet":
        """Return a fleet before its first step.

        Raises:
            CannotStack: The members' nets cannot run side by side.
        """
        told = train.targets[known(train.targets)]
        for member in members:
            member.objective.to(device_of(member.model))
            if len(told):
                member.model.learn_scale(told)
        stack = Stack.of(
            [member.model for member in members], [member.settings.seed for member in members]
        )
        rules = [optimizer_settings(each.settings.optimizer, "optimizer") for each in members]
        moving = any(member.settings.ema for member in members)
        return cls(
            members,
            train,
            list(range(len(members))),
            stack,
            Descent.of(rules, stack.weights, stack.matrices),
            stack.weights.detach().clone() if moving else None,
        )

    def _order(self, settings: FitSettings) -> Order:
        return Order(len(self.train), settings.batch, settings.seed)

    def _tables(self) -> None:
        """Make what follows from who is alive."""
        alive = [self.members[at] for at in self.alive]
        settings = [member.settings for member in alive]
        self.clip = self._column([own.clip for own in settings])
        self.decays = self._column([own.ema for own in settings])
        self.orders = {own.seed: self._order(own) for own in settings}
        self.whose = [own.seed for own in settings]
        self.warmups = [own.warmup for own in settings]
        self.parts = [
            (rows, self.stack.part(rows), _losses(alive[rows])) for rows in self._split(len(alive))
        ]

    def _split(self, members: int) -> list[slice]:
        """Return which neighbours go through a step together: all of them, or as many as there is
        room for.
        """
        batch = min(self.members[0].settings.batch, len(self.train))
        row = self.members[0].model.normalize(self.train.inputs[:1].to(self.stack.weights.device))
        each = self.stack.cells(row[0]) * batch * self.stack.weights.element_size()
        parts = min(max(1, math.ceil(members * each / ROOM)), max(1, members))
        size = max(FEWEST, math.ceil(members / parts))
        return [slice(at, at + size) for at in range(0, members, size)]

    def _column(self, values: Sequence[float]) -> Tensor:
        like = self.stack.weights
        return torch.tensor(values, dtype=like.dtype).to(like.device)[:, None]

    def share(self) -> Tensor:
        """Return each member's share of its full learning rate at this step, [k, 1]."""
        now = {warmup: learning_rate(self.step, self.steps, warmup) for warmup in set(self.warmups)}
        return self._column([now[warmup] for warmup in self.warmups])

    def batch(self) -> Batch:
        """Return the members' batches, [k, B, …]; one that all share is not copied."""
        drawn = {seed: order.at(self.step) for seed, order in self.orders.items()}
        alone = len(drawn) == 1
        at = torch.stack(list(drawn.values()) if alone else [drawn[seed] for seed in self.whose])
        device, k = self.stack.weights.device, len(self.alive)
        held = (self.train.inputs[at], self.train.targets[at], at)
        inputs, targets, rows = (
            each.to(device).expand(k, *each.shape[1:]) if alone else each.to(device)
            for each in held
        )
        labelled = self.labelled[at].to(device).expand(k, -1)
        return Batch(inputs, targets, labelled, rows, step=self.step)

    def some(self, batch: Batch, members: slice) -> Batch:
        """Return the batches of some neighbours in the stack."""
        return _of(batch, members)

    def own(self, batch: Batch, place: int) -> Batch:
        """Return the batch of the member at a place of the stack."""
        return _of(batch, place)

    def drop(self, places: Sequence[int]) -> None:
        """Go on without the members at some places of the stack, in a smaller one."""
        kept = [place for place in range(len(self.alive)) if place not in places]
        self.alive = [self.alive[place] for place in kept]
        if kept:
            self._only(kept)

    def _only(self, places: Sequence[int]) -> None:
        self.stack, self.descent = self.stack.keep(places), self.descent.keep(places)
        if self.average is not None:
            self.average = self.average[list(places)].clone()
        self._tables()

    def unload(self) -> None:
        """Write the weights that count into the models of those alive."""
        for place, at in enumerate(self.alive):
            self.stack.unload(place, self.members[at].model, self.average)

    def save(self, path: Path) -> None:
        """Write all of it to a file."""
        held = {
            **disk.under("buffers", self.stack.buffers),
            **disk.under("moments", self.descent.moments),
            **{f"member/{self.digests[at]}": torch.zeros(1) for at in self.alive},
            "order": torch.tensor([_number(self.digests[at]) for at in self.alive]),
            "weights": self.stack.weights.detach(),
            "generators": torch.stack([each.get_state() for each in self.stack.generators]),
            "step": torch.tensor([self.step]),
            "last": self.last,
        }
        if self.average is not None:
            held["average"] = self.average
        for at in self.alive:
            state = self.members[at].objective.state_dict()
            held |= disk.under(f"objective/{self.digests[at]}", state)
        for at, error in self.failed.items():
            told = f"{error.what}\n{error.where}\n{error.fix}".encode()
            held[f"failed/{self.digests[at]}"] = torch.tensor(list(told), dtype=torch.uint8)
        disk.save(path, held, IDENTITY)

    def resume(self, path: Path | None, val: Dataset) -> str:
        """Go on where these members were left, be it among others; do nothing where they are not
        in the file. Returns a remark for the reader.
        """
        if path is None:
            return ""
        self.digests = list(_digests(self.members, self.train, val))
        held, remark = disk.load(path, IDENTITY)
        failed = {
            at: held[f"failed/{digest}"]
            for at, digest in enumerate(self.digests)
            if f"failed/{digest}" in held
        }
        alive = [at for at in self.alive if at not in failed]
        if not held or any(f"member/{self.digests[at]}" not in held for at in alive):
            return remark
        self.failed = {at: _error(told) for at, told in failed.items()}
        self.alive = alive
        if alive:
            self._only(alive)
            self._load(held)
        self.step = int(held["step"])
        return f"going on after step {self.step}"

    def _load(self, held: disk.Tensors) -> None:
        order = held["order"].tolist()
        at = [order.index(_number(self.digests[place])) for place in self.alive]
        with torch.no_grad():
            self.stack.weights.copy_(held["weights"][at])
        for name, buffer in self.stack.buffers.items():
            buffer.copy_(held[f"buffers/{name}"][at])
        for name, moment in self.descent.moments.items():
            moment.copy_(held[f"moments/{name}"][at])
        if self.average is not None:
            self.average.copy_(held["average"][at])
        for place in self.alive:
            state = disk.inside(held, f"objective/{self.digests[place]}")
            self.members[place].objective.load_state_dict(state)
        for generator, state in zip(self.stack.generators, held["generators"][at], strict=True):
            generator.set_state(state.clone())  # torch crashes on a row of a larger tensor
        self.descent.steps = int(held["step"])
        self.last = held["last"][at]


class _Answered(Classifier):
    """A member whose net has answered: an objective that asks the model gets that answer."""

    def __init__(self, model: Classifier) -> None:
        nn.Module.__init__(self)
        self.said: Tensor
        self._model = (model,)  # in a tuple it is no submodule

    def forward(self, inputs: Tensor) -> Tensor:  # noqa: ARG002
        return self._model[0].scaled(self.said)

    def standard(self, told: Tensor) -> Tensor:
        return self._model[0].standard(told)


def _losses(members: Sequence[Member]) -> Losses:
    """Return the losses of all members, at once if their objectives can, else one by one."""
    objectives = [member.objective for member in members]
    together = type(objectives[0]).at_once(objectives) if objectives else None
    if together is not None:
        return together
    answered = [_Answered(member.model) for member in members]

    def one_by_one(logits: Tensor, batch: Batch) -> Tensor:
        each = []
        for place, (model, objective) in enumerate(zip(answered, objectives, strict=True)):
            model.said = logits[place]
            each.append(objective(model, _of(batch, place)))
        return torch.stack(each)

    return one_by_one


def _of(batch: Batch, at: int | slice) -> Batch:
    parts = (batch.inputs[at], batch.targets[at], batch.labelled[at], batch.rows[at])
    return Batch(*parts, step=batch.step)


def _digests(members: Sequence[Member], train: Dataset, val: Dataset) -> Iterator[str]:
    data = disk.identity_of(
        {},
        {
            "train/inputs": train.inputs,
            "train/targets": train.targets,
            "val/inputs": val.inputs,
            "val/targets": val.targets,
        },
        "",
    )
    for member in members:
        modules = {"model": member.model, "objective": member.objective}
        yield disk.identity_of(modules, {}, f"{data} {member.settings!r}")


def _number(digest: str) -> int:
    return int(digest[:15], 16)


def _error(told: Tensor) -> TrainingFailed:
    what, where, fix = bytes(told.tolist()).decode().split("\n")
    return TrainingFailed(what, where=where, fix=fix)
