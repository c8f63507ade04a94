"""IGDM: answer as the teacher does, and change one's answer along an attack as the teacher changes
its own.
"""

import torch
from torch import Tensor

from stillhouse.config import Count, NonNegative, Positive
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.trades import spread
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs


def igdm_loss(
    ahead: Tensor, behind: Tensor, ahead_teacher: Tensor, behind_teacher: Tensor
) -> Tensor:
    """Return KL(teacher ‖ student) of the softmax of what logits change by from x − δ to x + δ, per
    row.

    To first order that change is 2 δ times the gradient, so that input gradients are matched
    without ever being taken.

    Args:
        ahead: The student's logits [B, C] at x + δ.
        behind: Its logits at x − δ.
        ahead_teacher: The teacher's at x + δ; no gradient flows into them.
        behind_teacher: The teacher's at x − δ; no gradient flows into them.

    Returns:
        Nats [B], never negative.

    Source:
        Lee, Cho and Kim 2025, arXiv:2312.03286, section 3.2 (indirect gradient distillation
        module), as in the authors' code.

    Example:
        >>> import torch
        >>> here, there = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.5]])
        >>> igdm_loss(here, there, here + 3, there + 3).item()
        0.0
    """
    return kd_loss(ahead - behind, ahead_teacher - behind_teacher, 1.0)


class IGDM(Method):
    """AdaAD, and beside it the matching of changes, whose weight rises evenly over the training.

    x − δ is cut at the data's bounds, where the authors let it leave them.

    Args:
        alpha: Weight of the matched changes at the end of the training; 1 for CIFAR-10 and 10 for
            CIFAR-100 in the authors' later code, 20 in the first.
        epsilon: Radius of the ball, in data space; of tables in standard deviations of each column.
        norm: linf or l2.
        steps: Of the search.
        step_size: Of the search, in epsilon's units; a quarter of epsilon where None.
    """

    needs = frozenset({"logits", "gradients"})
    hardens = True

    def __init__(
        self,
        *,
        alpha: NonNegative = 1.0,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size
        self._behind = self._its_ahead = self._its_behind = torch.empty(0)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        room = self.classroom
        adversary = Adversary(self.norm, self.epsilon, self.steps, self.step_size)
        found = adversary.find(
            model,
            batch.inputs,
            lambda at: spread(model(at), room.ask(batch, at)),
            space=room.space,
            generator=generator,
        )
        opposite = room.space.clip(2 * batch.inputs - found, batch.inputs)
        self._its_ahead, self._its_behind = room.ask(batch, found), room.ask(batch, opposite)
        self._behind = model(opposite)
        return found

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        change = igdm_loss(student.logits, self._behind, self._its_ahead, self._its_behind)
        weight = self.alpha * self.classroom.progress(batch)
        return kd_loss(student.logits, self._its_ahead, 1.0) + weight * change
