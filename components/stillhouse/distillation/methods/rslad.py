"""RSLAD: learn the teacher's soft answer to a row wherever an attacker moves it to; no label is
looked at.
"""

import torch
from torch import Tensor

from stillhouse.config import Count, Positive, Share
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs


def rslad_loss(
    attacked: Tensor, clean: Tensor, teacher: Tensor, clean_share: float = 1 / 6
) -> Tensor:
    """Return (1 − a) KL(teacher ‖ attacked) + a KL(teacher ‖ clean), per row.

    Args:
        attacked: Logits [B, C] of the rows inside the ball on which KL(teacher ‖ ·) is largest.
        clean: Logits [B, C] of the rows themselves.
        teacher: Logits [B, C] of the rows themselves; no gradient flows into them.
        clean_share: a in [0, 1].

    Returns:
        Nats [B], never negative. The authors' code takes the mean over B × C, which is this one's
        mean divided by C (they multiply by 10 for CIFAR-100), and adds 1e-5 inside a logarithm that
        has no gradient.

    Source:
        Zi, Zhao, Ma and Jiang 2021, arXiv:2108.07969, equation 5; a = 1/6 in their code.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> rslad_loss(logits, logits, logits).item()
        0.0
    """
    hard, calm = (kd_loss(logits, teacher, 1.0) for logits in (attacked, clean))
    return (1 - clean_share) * hard + clean_share * calm


class RSLAD(Method):
    """The teacher's stored answer, held all around each row; any teacher will do, and one that
    withstands attack itself does best.

    Args:
        clean_share: Share of the rows as they are; the paper's 1 − α.
        epsilon: Radius of the ball, in data space; of tables in standard deviations of each column.
        norm: linf or l2.
        steps: Of the search.
        step_size: Of the search, in epsilon's units; a quarter of epsilon where None.
    """

    hardens = True

    def __init__(
        self,
        *,
        clean_share: Share = 1 / 6,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.clean_share = clean_share
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size
        self._clean = torch.empty(0)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        its = self.classroom.stored(batch)
        adversary = Adversary(self.norm, self.epsilon, self.steps, self.step_size)
        found = adversary.find(
            model,
            batch.inputs,
            lambda at: kd_loss(model(at), its, 1.0),
            space=self.classroom.space,
            generator=generator,
        )
        self._clean = model(batch.inputs)
        return found

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        return rslad_loss(student.logits, self._clean, self.answers(teacher), self.clean_share)
