"""AdaAD: look where student and teacher differ most around a row, and learn the teacher's answer
there.
"""

import torch
from torch import Tensor

from stillhouse.config import Count, Positive, Share
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.trades import spread
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs


def adaad_loss(
    attacked: Tensor,
    attacked_teacher: Tensor,
    clean: Tensor,
    clean_teacher: Tensor,
    alpha: float = 1.0,
) -> Tensor:
    """Return α KL(teacher ‖ student) on attacked rows + (1 − α) the same on clean ones, per row.

    Args:
        attacked: The student's logits [B, C] of the rows inside the ball on which this divergence
            is largest; both models move in that search.
        attacked_teacher: The teacher's of the same; no gradient flows into them.
        clean: The student's of the rows themselves.
        clean_teacher: The teacher's of the same; no gradient flows into them.
        alpha: α in [0, 1].

    Returns:
        Nats [B], never negative. The authors' script takes the mean over B for CIFAR-100, which is
        this one's, and torch's default over B × C for CIFAR-10, which is a tenth of it.

    Source:
        Huang, Chen, Wang, Lu, Cheng and Wang 2023, "Boosting Accuracy and Robustness of Student
        Models via Adaptive Adversarial Distillation", as in the authors' code; α = 1 there.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> adaad_loss(logits, logits, logits, logits, alpha=0.5).item()
        0.0
    """
    hard = kd_loss(attacked, attacked_teacher, 1.0)
    return alpha * hard + (1 - alpha) * kd_loss(clean, clean_teacher, 1.0)


class Adaad(Method):
    """The teacher's live answer where the student differs from it most; it should withstand attack
    itself, or it teaches its own weakness.

    Args:
        alpha: Share of the attacked rows.
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
        alpha: Share = 1.0,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size
        self._clean = self._its = torch.empty(0)

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
        self._its = room.ask(batch, found)
        self._clean = model(batch.inputs)
        return found

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        its = self.answers(teacher)
        return adaad_loss(student.logits, self._its, self._clean, its, self.alpha)
