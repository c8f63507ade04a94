"""SAAD: weigh each row by how doubtful the teacher is where the student was attacked; a row that
fools the student and leaves the teacher sure teaches little robustness.
"""

import torch
from torch import Tensor

from stillhouse.config import Count, NonNegative, Positive
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.igdm import igdm_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.pgd_at import decided
from stillhouse.distillation.methods.trades import spread
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs

# Of the range of weights in a batch: equal ones are then all the smallest, not 0 / 0. The authors'.
SMALLEST_RANGE = 1e-8


def saad_weights(attacked_teacher: Tensor, scale: float = 5.0) -> tuple[Tensor, Tensor]:
    """Return each row's weight on attacked rows, and on clean ones.

    The first is scale × (H − the batch's smallest H), H the entropy of the teacher's answer to the
    attacked row; the second is 1 − the first brought to [0, 1] over the batch. A batch of one row
    has the weights 0 and 1.

    Args:
        attacked_teacher: Logits [B, C].
        scale: The paper's entropy scale, ≥ 0.

    Returns:
        [B], in [0, scale × log C], and [B], in [0, 1]; neither carries gradients.

    Source:
        Lee and Chung 2025, arXiv:2512.10275, and their code; scale = 5 there.

    Example:
        >>> import torch
        >>> hard, calm = saad_weights(torch.tensor([[0.0, 0.0], [50.0, 0.0]]))
        >>> [round(weight, 4) for weight in hard.tolist()], calm.tolist()
        ([3.4657, 0.0], [0.0, 1.0])
    """
    log_p = attacked_teacher.detach().log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    weight = scale * (entropy - entropy.min())
    return weight, 1 - weight / (weight.max() + SMALLEST_RANGE)


class SAAD(Method):
    """AdaAD and IGDM's matching of changes, weighed by the teacher's doubt, so that no selector can
    weigh the rows again.

    The search climbs KL(T̃ ‖ student), T̃ the teacher's clean answer whose target's logit follows the
    move to first order: one gradient of the teacher a batch, not one a step.

    Args:
        alpha: Weight of the matched changes at the end of the training, as in `igdm`.
        clean: Weight of the clean rows, the paper's β.
        scale: Of the entropies.
        follow: How far T̃ follows the move; 0 is the search of `rslad`.
        epsilon: Radius of the ball, in data space; of tables in standard deviations of each column.
        norm: linf or l2.
        steps: Of the search.
        step_size: Of the search, in epsilon's units; a quarter of epsilon where None.
    """

    needs = frozenset({"logits", "gradients"})
    per_sample = False
    hardens = True

    def __init__(
        self,
        *,
        alpha: NonNegative = 1.0,
        clean: NonNegative = 0.0,
        scale: Positive = 5.0,
        follow: NonNegative = 1.0,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.alpha, self.clean, self.scale, self.follow = alpha, clean, scale, follow
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size
        self._clean = self._behind = self._its_ahead = self._its_behind = torch.empty(0)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        room = self.classroom
        adversary = Adversary(self.norm, self.epsilon, self.steps, self.step_size)
        its, slope, target = self._followed(batch)

        def apart(at: Tensor) -> Tensor:
            moved = (slope * (at - batch.inputs).nan_to_num(0.0)).flatten(1).sum(dim=1)
            return spread(model(at), its + self.follow * moved[:, None] * target)

        found = adversary.find(model, batch.inputs, apart, space=room.space, generator=generator)
        opposite = room.space.clip(2 * batch.inputs - found, batch.inputs)
        self._its_ahead, self._its_behind = room.ask(batch, found), room.ask(batch, opposite)
        self._behind, self._clean = model(opposite), model(batch.inputs)
        return found

    def _followed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the teacher's logits [B, C], the gradient [B, *shape] of its target's, and which
        that is [B, C].
        """
        with torch.enable_grad():
            here = batch.inputs.detach().clone().requires_grad_(True)
            its = self.classroom.ask(batch, here)
            target = torch.nn.functional.one_hot(decided(batch, its), its.shape[-1]).to(its)
            [slope] = torch.autograd.grad((its * target).sum(), here)
        return its.detach(), slope.nan_to_num(0.0), target

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        mine, its = student.logits, self._its_ahead
        weight, calm = saad_weights(its, self.scale)
        change = igdm_loss(mine, self._behind, its, self._its_behind)
        hard = kd_loss(mine, its, 1.0) + self.alpha * self.classroom.progress(batch) * change
        clean = kd_loss(self._clean, self.answers(teacher), 1.0)
        return (weight * hard + self.clean * calm * clean).mean()
