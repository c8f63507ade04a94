"""A look at a teacher on a few rows before the whole job is paid for, in money or in hours."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from stillhouse.clock import Clock
from stillhouse.data.dataset import Dataset, known
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError, StillhouseError
from stillhouse.evaluation.ranking import auc
from stillhouse.evaluation.tasks import task_of
from stillhouse.teachers.ask import ask, naming
from stillhouse.teachers.probabilities import are_chances, are_probabilities
from stillhouse.teachers.teacher import Oracle

ROWS, PAID_ROWS = 256, 16  # val rows that are asked about; few where each costs money
STEADY = 1e-3  # of a probability: other company in a batch moves a row's answer by rounding alone
# Another order of the classes is told only where it would be right in most rows, and where there
# are rows enough that no order of C classes fits by luck.
RIGHT, ROWS_A_CLASS = 0.5, 5
# The same of labels, of which more fit by luck: those with so many rows of either kind, at most so
# many of them, each ranked so much better than by chance (2 AUC − 1).
ROWS_A_LABEL, MOST_LABELS, RANKED = 10, 100, 0.6
TOLD = 64  # numbers in [0, 1] that are hardly log-odds all of them
UNEVEN = 0.8  # share of one class beyond which accuracy praises whoever says nothing else
LONG = 60.0  # seconds of a job that are worth a word before it begins


@dataclass(frozen=True)
class Job:
    """All that will be asked.

    Attributes:
        rows: Answers in all, views included.
        unpaid: Of those, rows that are still to be paid for.
    """

    rows: int
    unpaid: int


@dataclass(frozen=True)
class Probe:
    """What a look showed.

    Attributes:
        rows: Rows that were asked about.
        labelled: How many of them have a label.
        accuracy: Share of these that it answers right; None without labels.
        commonest: Share of the commonest class among them: what a constant answer would reach.
        seconds: The whole job takes about so long.
        usd: And costs so much.
        job: The whole job.
    """

    rows: int
    labelled: int
    accuracy: float | None
    commonest: float
    seconds: float
    usd: float
    job: Job

    @property
    def doubtful(self) -> bool:
        """Whether a constant answer would be right as often, where that says something: of rare
        events the best of models is right no more often.
        """
        return self.accuracy is not None and self.accuracy <= self.commonest < UNEVEN

    @property
    def notable(self) -> bool:
        """Whether anybody should be stopped for it: it costs money or minutes, or looks wrong."""
        return self.usd > 0 or self.seconds > LONG or self.doubtful

    @property
    def sentence(self) -> str:
        """What a user is told before the job begins."""
        right = (
            "no labelled row to compare with"
            if self.accuracy is None
            else f"right on {self.accuracy:.1%} of {self.labelled} labelled val rows"
        )
        cost = f", ${self.usd:.2f} for {self.job.unpaid:,} of them" if self.usd else ""
        doubt = (
            f" That is no better than always saying the commonest class ({self.commonest:.1%}): "
            "look at its preprocessing (mean, std, size) and at the order of its classes."
            if self.doubtful
            else ""
        )
        return (
            f"Teacher probed: {right}; {self.job.rows:,} answers take about "
            f"{_time(self.seconds)}{cost}.{doubt}"
        )


def _time(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def probe(oracle: Oracle, val: Dataset, job: Job, clock: Clock) -> Probe:
    """Ask about a few val rows, and refuse a teacher that the whole job would be wasted on.

    Args:
        oracle: The teacher.
        val: Rows that it has not learned from.
        job: What will be asked of it.
        clock: For the estimate.

    Raises:
        SourceError: It does not take such rows, answers another number of classes, something not
            finite, or probabilities in the place of logits; it answers a row otherwise when asked
            again in other company; its classes stand in another order than the data's; or it is
            another teacher than the one whose answers are kept.
        OverBudget: The whole job would cost more than is allowed.
    """
    oracle.require_money(job.unpaid)
    count = PAID_ROWS if oracle.usd_per_row else ROWS
    some = val.labelled if len(val.labelled) else val
    some = some.take(torch.arange(min(count, len(some))))
    began = clock.seconds()
    answers = _answers(oracle, some)
    _require_logits(answers, some.schema)
    seconds = (clock.seconds() - began) / max(len(some), 1)
    oracle.require_same(some.inputs[:4], some.rows[:4])
    if not oracle.usd_per_row:
        _require_steady(oracle, some, answers)
    comparable = known(some.targets) & task_of(some.schema).decides
    told, targets = answers[comparable].argmax(dim=1), some.targets[comparable].long()
    _require_order(told, targets, some.classes)
    require_label_order(answers, some)
    return Probe(
        rows=len(some),
        labelled=len(targets),
        accuracy=float((told == targets).double().mean()) if len(targets) else None,
        commonest=_commonest(targets),
        seconds=seconds * job.rows,
        usd=oracle.usd_per_row * job.unpaid,
        job=job,
    )


def _answers(oracle: Oracle, some: Dataset) -> Tensor:
    try:
        return ask(oracle, some, where="teacher, probed on val")
    except StillhouseError:
        raise
    except Exception as error:  # a user's teacher may raise whatever it likes
        raise SourceError(
            f"it cannot answer rows of shape {list(some.inputs.shape[1:])}: "
            f"{type(error).__name__}: {error}",
            where="teacher, probed on val",
            fix="Bring a teacher of such rows, or rows of its size (the source's resize).",
        ) from error


def _require_logits(answers: Tensor, schema: Schema) -> None:
    if schema.labels:
        meant = answers.numel() < TOLD or not are_chances(answers)
    else:
        meant = schema.quantity is not None or not are_probabilities(answers)
    if meant or (answers == answers[:1]).all():  # what never changes is useless, not mistaken
        return
    raise SourceError(
        "it answers probabilities where logits are wanted: taken for those, it would be sure of "
        "nothing.",
        where="teacher, probed on val",
        fix="Leave its softmax or sigmoid out, or return its logarithm (of labels: log-odds).",
    )


def _require_steady(oracle: Oracle, some: Dataset, answers: Tensor) -> None:
    """Ask again, backwards and without the first row: dropout, or batch norm that still looks at
    the batch, answers otherwise now.
    """
    if len(some) < 2:
        return
    backwards = torch.arange(len(some) - 1, 0, -1)
    again = ask(oracle, some.take(backwards), where="teacher, probed again")
    task = task_of(some.schema)
    moved = task.moved(again, answers[backwards])
    if (moved > STEADY).any():
        rows = some.rows[backwards][moved > STEADY]
        raise SourceError(
            f"asked again beside other rows, it answers {naming(rows)} otherwise, by up to "
            f"{float(moved.max()):.2g} of {task.moved_unit}.",
            where="teacher",
            fix="Export or store it in evaluation mode (model.eval()): dropout off, batch norm "
            "fixed.",
        )


def _require_order(told: Tensor, targets: Tensor, classes: tuple[str, ...]) -> None:
    found = other_order(told, targets, len(classes))
    if found is None:
        return
    names = [classes[at] for at in found.meant]
    raise SourceError(
        f"its classes seem to stand in another order: as it is it answers {found.as_it_is} of "
        f"{len(targets)} labelled val rows right, reordered {found.reordered}.",
        where="teacher",
        fix=f"Name its classes by column; these would fit: classes: {names}.",
    )


@dataclass(frozen=True)
class OtherOrder:
    """An order of the classes in which a teacher would be right far more often.

    Attributes:
        as_it_is: Rows that it answers right now.
        reordered: Rows that it would answer right.
        meant: For each of its columns the class that it seems to mean.
    """

    as_it_is: int
    reordered: int
    meant: tuple[int, ...]


def other_order(told: Tensor, targets: Tensor, count: int) -> OtherOrder | None:
    """Return the order in which a teacher's classes seem to stand; None if there is nothing to
    complain of, or too few rows to tell.

    Args:
        told: Its decisions [N], int64.
        targets: [N], int64, all known.
        count: C.
    """
    if not count or len(targets) < ROWS_A_CLASS * count:
        return None
    table = torch.zeros(count, count, dtype=torch.int64)
    table.index_put_((told, targets), torch.ones(len(targets), dtype=torch.int64), accumulate=True)
    columns, meant = linear_sum_assignment(-table.numpy())
    as_it_is, reordered = int(table.trace()), int(table.numpy()[columns, meant].sum())
    total = len(targets)
    if reordered < RIGHT * total or reordered < 2 * as_it_is:
        return None
    # A teacher that mostly says one class looks reordered where classes are rare: not that much.
    if 2 * reordered < total + int(torch.bincount(targets).max()):
        return None
    return OtherOrder(as_it_is, reordered, tuple(int(at) for at in meant))


def require_label_order(answers: Tensor, some: Dataset) -> None:
    """Refuse a teacher whose columns rank other labels than their own.

    Args:
        answers: Its log-odds [N, L].
        some: The rows, of which some labels are known; rows without labels are not looked at.

    Raises:
        SourceError: In another order its columns rank the labels far better.
    """
    names, told = some.schema.labels, some.targets
    seen = [
        at
        for at in range(len(names))
        if min(int((told[:, at] == side).sum()) for side in (0, 1)) >= ROWS_A_LABEL
    ][:MOST_LABELS]
    if len(seen) < 2:
        return
    table = np.array([[_ranked(answers[:, c], told[:, at]) for at in seen] for c in seen])
    columns, meant = linear_sum_assignment(-table)
    as_it_is, reordered = float(table.trace()) / len(seen), float(table[columns, meant].mean())
    if reordered < RANKED or reordered < 2 * as_it_is:
        return
    order = list(names)
    for column, label in zip(columns, meant, strict=True):
        order[seen[column]] = names[seen[label]]
    raise SourceError(
        f"its labels seem to stand in another order: as it is its columns rank their labels "
        f"{as_it_is:.2f} better than chance (2 AUC − 1), reordered {reordered:.2f}.",
        where="teacher",
        fix=f"Name its labels by column; these would fit: classes: {order}.",
    )


def _ranked(scores: Tensor, told: Tensor) -> float:
    there = ~told.isnan()
    return 2 * auc(scores[there].double().numpy(), (told[there] == 1).numpy()) - 1


def _commonest(targets: Tensor) -> float:
    return float(torch.bincount(targets).max()) / len(targets) if len(targets) else 0.0
