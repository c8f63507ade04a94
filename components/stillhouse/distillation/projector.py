"""What lies between features of two sizes: positions pooled to the smaller side, and channels mixed
by a learned matrix.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

VECTOR, SERIES, MAPS = 2, 3, 4  # axes of [B, D], [B, D, T] and [B, D, H, W]


def aligned(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both features as [B, positions, channels] over the same positions.

    Two maps, or two series, are averaged to the smaller number of positions on each axis; features
    of different kinds are averaged over all of theirs.

    Args:
        student: [B, D], [B, D, T] or [B, D, H, W], channels first.
        teacher: The same of another size.
    """
    if student.ndim == teacher.ndim == MAPS:
        sides = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
        return _last(F.adaptive_avg_pool2d(student, sides)), _last(
            F.adaptive_avg_pool2d(teacher, sides)
        )
    if student.ndim == teacher.ndim == SERIES:
        length = min(student.shape[2], teacher.shape[2])
        return _last(F.adaptive_avg_pool1d(student, length)), _last(
            F.adaptive_avg_pool1d(teacher, length)
        )
    return pooled(student).unsqueeze(1), pooled(teacher).unsqueeze(1)


def pooled(features: Tensor) -> Tensor:
    """Return features [B, D, …] as [B, D]: the mean over all positions."""
    return features if features.ndim == VECTOR else features.flatten(2).mean(dim=2)


def _last(features: Tensor) -> Tensor:
    return features.flatten(2).transpose(1, 2)


class Projector(nn.Module):
    """A learned matrix from the student's channels to the teacher's, the same at every position; a
    1 × 1 convolution by another name.

    Args:
        student: The student's features, of any few rows.
        teacher: The teacher's.
    """

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Linear(student.shape[1], teacher.shape[1])

    def forward(self, features: Tensor) -> Tensor:
        """Return [B, …, teacher's channels] from [B, …, student's channels]."""
        return cast(Tensor, self.matrix(features))

    def __call__(self, features: Tensor) -> Tensor:
        return cast(Tensor, super().__call__(features))
