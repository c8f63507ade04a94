"""Active querying: which rows without a label the teacher is asked about, where asking costs."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import CLASSIFICATION, task_of
from stillhouse.steps.step import Job
from stillhouse.teachers.teacher import Lesson
from stillhouse.teachers.worth import rank

if TYPE_CHECKING:
    from stillhouse.steps.prepare import Prepared


def informed(ready: "Prepared", job: Job) -> "Prepared":
    """Return prepared rows whose unlabelled ones are as many as before, but those worth asking the
    teacher about; no withheld target is looked at.

    Raises:
        SettingsError: No class is predicted, or no row has a label to begin with.
    """
    train, pick = ready.train, ready.pick
    if task_of(train.schema).name != CLASSIFICATION.name:
        raise SettingsError(
            "informative rows are those between classes, and "
            f"{'rows have several labels' if train.schema.labels else 'this is a quantity'}.",
            where="prepare.query",
            fix="Write query: even.",
        )
    if not len(pick.labelled):
        raise SettingsError(
            "no row has a label, so that nothing can be unsure yet.",
            where="prepare.labelled",
            fix="Label a few rows of each class, or write query: even.",
        )
    free = torch.ones(len(train), dtype=torch.bool)
    free[pick.labelled] = False
    pool = torch.nonzero(free).flatten()
    labelled = train.take(pick.labelled)
    told, scratch = job.progress, job.files.scratch
    lesson = Lesson(labelled, labelled, job.root, scratch, 0, told, job.device)
    chosen = rank(labelled, train.take(pool), len(pick.unlabelled), lesson)
    return replace(ready, pick=replace(pick, unlabelled=pool[chosen].sort().values))
