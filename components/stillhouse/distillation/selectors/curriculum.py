"""Learn from the teacher what it is sure of first, and the rest later."""

import math

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.selector import Selector
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs


def competence(done: float, first: float = 0.1) -> float:
    """Return the share of the rows, easiest first, that may be learned from: √(t (1 − c²) + c²).

    New rows come in ever more slowly, so that each has about as many steps as those before it.

    Args:
        done: t, how much of the curriculum is done, in [0, 1].
        first: c, the share at the beginning.

    Source:
        Platanios, Stretcu, Neubig, Poczos and Mitchell 2019, arXiv:1903.09848, equation 3.

    Example:
        >>> competence(0.0), competence(1.0)
        (0.1, 1.0)
    """
    return min(1.0, math.sqrt(done * (1 - first**2) + first**2))


class Curriculum(Selector):
    """Weight 1 for rows that are easy enough by now, 0 for the rest; a row is as hard as the
    teacher's answer to it is uncertain, ranked over all rows.

    Args:
        first: Share of the rows at the beginning.
        until: Share of the training after which all rows count.
    """

    def __init__(self, *, first: Share = 0.1, until: Share = 0.5) -> None:
        self.first, self.until = first, until
        self._classroom: Classroom | None = None
        self._rank = torch.empty(0)

    def enter(self, classroom: Classroom) -> None:
        """Rank the rows; equal ones keep their order."""
        self._classroom = classroom
        log_p = classroom.told.double().log_softmax(dim=-1)
        entropy = -(log_p.exp() * log_p).sum(dim=-1)
        place = entropy.argsort(stable=True)
        self._rank = torch.empty_like(entropy)
        self._rank[place] = torch.arange(1, len(place) + 1).double() / len(place)

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        if self._classroom is None:
            raise UsageError(
                "'curriculum' ranks all rows, and was shown none.",
                where="distill.selector",
                fix="Call `enter`, or give the objective both models.",
            )
        done = self._classroom.progress(batch)
        share = competence(min(1.0, done / self.until) if self.until else 1.0, self.first)
        rank = self._rank[batch.rows.to(self._rank.device)].to(teacher.logits.device)
        return (rank <= share + 1e-12).to(teacher.logits.dtype)
