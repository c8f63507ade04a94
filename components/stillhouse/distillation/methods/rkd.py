"""Relational distillation: learn how far apart the teacher puts two rows, and under which angle it
sees three.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import NonNegative
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told_rows
from stillhouse.models.outputs import Batch, Outputs

LOGITS = "logits"
# Rows nearer than this count as one place: the direction between them is rounding noise, and
# dividing by less would blow its gradient up.
SMALLEST_DISTANCE = 1e-3


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber loss of the pairwise distances of a batch, each model's measured in its own
    mean.

    Args:
        student: [B, …]; each row is flattened.
        teacher: [B, …]; no gradient flows into it, and its rows may have another size.

    Returns:
        A scalar, a mean over all B² pairs, those of a row with itself included, as in the authors'
        code; 0 where B is 1.

    Source:
        Park, Kim, Lu and Cho 2019, arXiv:1904.05068, section 3.2.1 (distance-wise loss).

    Example:
        >>> import torch
        >>> rows = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
        >>> distance_loss(rows, 10 * rows).item() < 1e-10
        True
    """
    return F.smooth_l1_loss(_distances(student.flatten(1)), _distances(told_rows(teacher, student)))


def _distances(rows: Tensor) -> Tensor:
    """Return distances [B, B] in units of their mean over pairs of different places."""
    found = torch.cdist(
        rows, rows, compute_mode="donot_use_mm_for_euclid_dist"
    )  # its gradient at distance 0 is 0, that of a square root is not
    apart = (found > 0).sum().clamp_min(1)
    return found / (found.sum() / apart).clamp_min(SMALLEST_DISTANCE)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber loss of the cosines of all angles that three rows of a batch make.

    Args:
        student: [B, …]; each row is flattened.
        teacher: [B, …]; no gradient flows into it.

    Returns:
        A scalar, a mean over all B³ triples, degenerate ones included, as in the authors' code; 0
        where B is 1. Memory grows with B³.

    Source:
        Park, Kim, Lu and Cho 2019, arXiv:1904.05068, section 3.2.2 (angle-wise loss).
    """
    return F.smooth_l1_loss(_cosines(student.flatten(1)), _cosines(told_rows(teacher, student)))


def _cosines(rows: Tensor) -> Tensor:
    """Return the cosines [B, B, B] of the angles at the first row; 0 where two of the three are one
    place.
    """
    towards = rows.unsqueeze(0) - rows.unsqueeze(1)
    direction = (
        towards / towards.square().sum(dim=-1, keepdim=True).clamp_min(SMALLEST_DISTANCE**2).sqrt()
    )
    return direction @ direction.transpose(1, 2)


class RKD(Method):
    """Distances and angles between the rows of a batch, so that no selector can weigh its rows.

    Args:
        distance: Weight of the distances.
        angle: Weight of the angles.
        layer: What the rows are places in: `logits`, which every teacher gives, or a stage
            (`penultimate`) or module path, for which the teacher must be a torch model.
    """

    per_sample = False

    def __init__(
        self, *, distance: NonNegative = 25.0, angle: NonNegative = 50.0, layer: str = LOGITS
    ) -> None:
        super().__init__()
        self.distance, self.angle, self.layer = distance, angle, layer
        if layer != LOGITS:
            self.needs = frozenset({"logits", "features"})
            self.taps = ((layer, layer),)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = self._places(student), self._places(teacher)
        weighed = ((self.distance, distance_loss), (self.angle, angle_loss))
        parts = [
            weight * loss(mine, its) for weight, loss in weighed if weight
        ]  # the angles cost B³: none are made to be multiplied by 0
        return torch.stack([*parts, 0 * mine.sum()]).sum()

    def _places(self, outputs: Outputs | None) -> Tensor:
        return self.answers(outputs) if self.layer == LOGITS else self.features(outputs, self.layer)
