"""Labels and a teacher in one loss: what the student's training makes small."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.distillation.live import Pair, connect
from stillhouse.distillation.method import Method
from stillhouse.distillation.selector import Selector
from stillhouse.distillation.together import joined, plain
from stillhouse.errors import DataError, UsageError
from stillhouse.evaluation.tasks import CLASSIFICATION, Task
from stillhouse.models.access import require
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.plugins import snake
from stillhouse.training.checkpoint import identity_of
from stillhouse.training.objective import (
    Losses,
    Objective,
    alike,
    labelled_loss,
    labelled_losses,
    standard,
)


class Distillation(Objective):
    """Loss = supervised × cross entropy on the labelled rows + (1 − supervised) × method on all
    rows, each row weighed by the selector.

    The method's part is a mean over all rows of the batch, those of weight 0 included: what a row
    pulls does not depend on who else was selected.

    Args:
        method: Its own parameters are trained with the student.
        selector: Refused if it tells rows apart and the method has no loss per row.
        supervised: Share of the labels, in [0, 1].
        answers: The teacher's logits [N, C] in the order of the rows that `fit` is given; None
            without a teacher.
        pair: Both models, for methods that look at features: those are asked for in every batch,
            the logits stay the stored ones. None where there is no torch teacher.
        order: For each row the one that the teacher is asked about in its place [N]; None for the
            row itself.
        task: What is predicted.
        weights: Of the labels, by class [C]; None: all 1. The method's part is not weighed: what
            the teacher says of a row stands for itself.

    Raises:
        UsageError: The method needs what the teacher does not give, or cannot be weighed by row; a
            model has no such tap.
    """

    answers: Tensor
    order: Tensor
    given: Tensor | None
    asked: Tensor | None
    weights: Tensor | None

    def __init__(
        self,
        *,
        method: Method,
        selector: Selector,
        supervised: float,
        answers: Tensor | None,
        pair: Pair | None = None,
        order: Tensor | None = None,
        task: Task = CLASSIFICATION,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        giver, gives = (
            ("no teacher", frozenset[str]())
            if answers is None
            else ("stored answers", frozenset({"logits"}))
        )
        if pair is not None and pair.gives:
            giver, gives = "the teacher", gives | pair.gives
        require(snake(type(method).__name__), method.needs, giver, gives)
        require(
            snake(type(selector).__name__), ("logits",) if selector.selects else (), giver, gives
        )
        refuse_selection(method, selector)
        refuse_task(method, selector, task)
        method.attend(task)
        if pair is not None:
            classroom = pair.classroom(answers, order)
            method.enter(classroom)
            selector.enter(classroom)
        self.task = task
        self.register_buffer("weights", weights, persistent=False)
        self.method, self.selector, self.supervised = method, selector, supervised
        self.has_teacher = answers is not None
        # as they are stored, perhaps mapped from a file: a batch of them is widened when it is due
        held = torch.empty(0, 0) if answers is None else answers.detach()
        self.register_buffer("answers", held if order is None else held[order], persistent=False)
        self.register_buffer(
            "order", torch.empty(0, dtype=torch.int64) if order is None else order, persistent=False
        )
        self.answer_alone = plain(method)
        counted = selector.selects and answers is not None
        self.register_buffer("given", torch.zeros(len(held)).double() if counted else None)
        self.register_buffer("asked", torch.zeros(len(held)).long() if counted else None)
        self._rows = None if pair is None or order is None else pair.rows.inputs
        self._taps = (
            connect(method, pair) if pair is not None and "features" in method.needs else None
        )
        # a checkpoint must not be taken up with another teacher
        asked = None if pair is None or not method.needs - {"logits"} else pair.teacher
        looked = "" if self._taps is None else repr((self._taps.student, self._taps.teacher))
        self.teacher = "" if asked is None else identity_of({"teacher": asked}, {}, looked)

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        inputs = batch.inputs
        if not self.answer_alone:
            inputs = self.method.inputs(model, batch, _generator())
        student = (
            model.outputs(inputs) if self._taps is None else self._taps.of_student(model, inputs)
        )
        _require_logits(student.logits, len(batch.rows))
        teacher = self._teacher(batch, student, inputs)
        batch, student = standard(model, batch), _standard(model, student)
        teacher = None if teacher is None else _standard(model, teacher)
        distilled = self._per_row_or_scalar(self.method(student, teacher, batch), batch)
        if self.selector.selects and teacher is not None:
            weighed = self.selector.weights(student, teacher, batch)
            distilled = distilled * weighed
            self._count(batch.rows, weighed)
        return (
            self.supervised * labelled_loss(self.task, student.logits, batch, self.weights)
            + (1 - self.supervised) * distilled.mean()
        )

    def after_step(self, model: Classifier) -> None:
        self.method.after_step(model)

    @classmethod
    def at_once(cls, objectives: Sequence[Objective]) -> Losses | None:
        mine = [each for each in objectives if isinstance(each, Distillation)]
        first = mine[0] if len(mine) == len(objectives) else None
        if first is None or not first.task.decides or not alike([each.weights for each in mine]):
            return None
        if any(each.selector.selects or not each.method.per_sample for each in mine):
            return None
        if joined([each.method for each in mine], 1, first.answers) is None:
            return None
        return _AtOnce(mine)

    def _count(self, rows: Tensor, weighed: Tensor) -> None:
        """Write down what each row got; a checkpoint holds it."""
        if self.given is not None and self.asked is not None:
            self.given.index_add_(0, rows, weighed.detach().double())
            self.asked.index_add_(0, rows, torch.ones_like(rows))

    def transfer(self) -> tuple[Tensor, Tensor] | None:
        """Return the sum of each row's weights so far and how often it was weighed, [N] each; None
        where the selector tells no rows apart.
        """
        if self.given is None or self.asked is None:
            return None
        return self.given.cpu(), self.asked.cpu()

    def _per_row_or_scalar(self, loss: Tensor, batch: Batch) -> Tensor:
        wanted = (len(batch.rows),) if self.method.per_sample else ()
        if tuple(loss.shape) != wanted:
            promise = f"its per_sample is {self.method.per_sample}"
            raise UsageError(
                f"the method '{snake(type(self.method).__name__)}' returns the shape "
                f"{list(loss.shape)}, but {promise}: {list(wanted)} was expected.",
                where="distill.method",
                fix="Return a loss per row, or a scalar with per_sample = False.",
            )
        return loss

    def _teacher(self, batch: Batch, student: Outputs, inputs: Tensor) -> Outputs | None:
        if not self.has_teacher:
            return None
        if self.answers.shape[-1] != student.logits.shape[-1]:
            raise DataError(
                f"the teacher answers {self.answers.shape[-1]} classes, the student "
                f"{student.logits.shape[-1]}.",
                fix="Give both the same data.",
            )
        told = _wide(self.answers[batch.rows])
        if self._taps is None:
            return Outputs(told)
        rows = self.order[batch.rows] if len(self.order) else batch.rows
        asked = inputs if self._rows is None else self._rows[rows].to(inputs)
        return Outputs(told, self._taps.of_teacher(asked, rows))


class _AtOnce:
    """The losses of k students that learn from one teacher, each method by its own settings."""

    def __init__(self, objectives: Sequence[Distillation]) -> None:
        self.methods = [each.method for each in objectives]
        self.task, self.weights = objectives[0].task, objectives[0].weights
        answers = [each.answers for each in objectives]
        self.shares = torch.tensor([each.supervised for each in objectives], dtype=torch.float64)
        alike = all(torch.equal(each, answers[0]) for each in answers)
        self.answers = answers[0][None] if alike else torch.stack(answers)
        self.made: dict[int, Method] = {}

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        members, rows = batch.rows.shape
        told = _wide(self._told(batch.rows))
        flat = flattened(batch)
        method = self._method(rows, logits)
        distilled = method(Outputs(logits.flatten(0, 1)), Outputs(told), flat)
        labelled = labelled_losses(self.task, logits, batch, self.weights)
        means = distilled.view(members, rows).mean(dim=1)
        shares = self.shares.to(logits)
        return shares * labelled + (1 - shares) * means

    def _told(self, rows: Tensor) -> Tensor:
        """Return the answers to the members' rows [k, B] as one batch [k × B, C]; rows that all
        share are looked up once.
        """
        if len(self.answers) > 1:
            return self.answers[torch.arange(len(rows))[:, None], rows].flatten(0, 1)
        if rows.stride(0) == 0:
            return self.answers[0][rows[0]].repeat(len(rows), 1)
        return self.answers[0][rows.flatten()]

    def _method(self, rows: int, logits: Tensor) -> Method:
        """Batches have one of two sizes, so that this is made twice."""
        if rows not in self.made:
            method = joined(self.methods, rows, logits.detach())
            if method is None:
                raise TypeError("the methods of these students cannot be asked at once")
            self.made[rows] = method
        return self.made[rows]


def _wide(told: Tensor) -> Tensor:
    """Half precision is for storing: losses are computed in single, or in what they were given."""
    return told.float() if told.dtype == torch.float16 else told


def flattened(batch: Batch) -> Batch:
    """Return the batches [k, B, …] of k models as one of k × B rows."""
    return replace(
        batch,
        inputs=batch.inputs.flatten(0, 1),
        targets=batch.targets.flatten(),
        labelled=batch.labelled.flatten(),
        rows=batch.rows.flatten(),
    )


def _require_logits(told: object, rows: int) -> None:
    """A net may answer otherwise in training than when it is asked, as those with auxiliary heads
    do.
    """
    if isinstance(told, Tensor) and told.ndim == 2 and len(told) == rows:
        return
    found = list(told.shape) if isinstance(told, Tensor) else type(told).__name__
    raise DataError(
        f"in training the student answers {found} for {rows} rows, not [N, C].",
        where="student",
        fix="Switch its further outputs off (such as aux_logits=False), or wrap it in a module "
        "that leaves them out.",
    )


def refuse_selection(method: Method, selector: Selector) -> None:
    """Refuse a selector that tells rows apart beside a method that has one loss for the whole
    batch.

    Raises:
        UsageError: They do not go together.
    """
    if selector.selects and not method.per_sample:
        raise UsageError(
            f"the selector '{snake(type(selector).__name__)}' weighs rows, but "
            f"'{snake(type(method).__name__)}' has one loss for the whole batch.",
            where="distill.selector",
            fix="Write selector: {name: all}, or choose a method with a loss per row.",
        )


def _standard(model: Classifier, outputs: Outputs) -> Outputs:
    return replace(outputs, logits=model.standard(outputs.logits))


def refuse_task(method: Method, selector: Selector, task: Task) -> None:
    """Refuse a method or a selector that means nothing where this is predicted.

    Raises:
        UsageError: It does not.
    """
    for what, plugin, tasks in (
        ("method", method, method.tasks),
        ("selector", selector, selector.tasks),
    ):
        if task.name not in tasks:
            raise UsageError(
                f"the {what} '{snake(type(plugin).__name__)}' is for {' or '.join(sorted(tasks))}, "
                f"and this is a {task.words}.",
                where=f"distill.{what}",
                fix=task.instead[what],
            )


def _generator() -> torch.Generator:
    """Return a generator that follows from torch's own, whose state a checkpoint holds."""
    return torch.Generator().manual_seed(int(torch.randint(2**31, ())))
