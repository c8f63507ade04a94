"""Review: every stage of the student, together with all deeper ones, learns an earlier stage of the
teacher.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.config import Share
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs

LEVELS = (4, 2, 1)  # sides to which maps are pooled, each worth half of the one before
WIDEST = 512  # channels in which stages are fused, at most
MAPS = 4  # axes of [B, D, H, W]


def hcl_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the hierarchical context loss per row: the mean squared difference of two maps, and of
    the same pooled to 4, 2 and 1 positions a side.

    A level no smaller than the map is left out, as in the authors' code; they look at the height
    alone, here an axis that is that short is left as it is and the other one pooled, which is the
    same for square maps.

    Args:
        student: [B, D, H, W].
        teacher: The same shape; no gradient flows into it.

    Returns:
        [B], never negative, in squares of the teacher's unit.

    Source:
        Chen, Liu, Zhao and Jia 2021, arXiv:2104.09044, section 3.3.

    Example:
        >>> import torch
        >>> hcl_loss(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).item()
        1.0
    """
    its = told(teacher, student)
    total, mass, worth = (student - its).flatten(1).square().mean(dim=1), 1.0, 1.0
    for level in LEVELS:
        sides = (min(level, student.shape[2]), min(level, student.shape[3]))
        if sides == tuple(student.shape[2:]):
            continue
        worth /= 2
        pooled = F.adaptive_avg_pool2d(student, sides) - F.adaptive_avg_pool2d(its, sides)
        total = total + worth * pooled.flatten(1).square().mean(dim=1)
        mass += worth
    return total / mass


class Fusion(nn.Module):
    """Brings a stage of the student, and what was learned of the deeper ones, to the teacher's
    shape.

    Args:
        own: Channels of the stage.
        middle: Channels in which it is fused.
        its: Channels of the teacher's stage.
        deeper: Whether there are deeper stages.

    Source:
        The attention-based fusion of section 3.2, without biases as in the authors' code.
    """

    def __init__(self, own: int, middle: int, its: int, *, deeper: bool) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(own, middle, 1, bias=False)
        self.narrow_norm = nn.BatchNorm2d(middle)
        self.widen = nn.Conv2d(middle, its, 3, padding=1, bias=False)
        self.widen_norm = nn.BatchNorm2d(its)
        self.attention = nn.Conv2d(2 * middle, 2, 1) if deeper else None
        for convolution in (self.narrow, self.widen):
            nn.init.kaiming_uniform_(convolution.weight, a=1)

    def forward(
        self, stage: Tensor, deeper: Tensor | None, sides: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Return what is compared [B, its, *sides], and what the next stage is fused with."""
        fused = _normed(self.narrow_norm, self.narrow(stage))
        if self.attention is not None and deeper is not None:
            from_deeper = F.interpolate(deeper, fused.shape[2:])
            share = self.attention(torch.cat([fused, from_deeper], dim=1)).sigmoid()
            fused = fused * share[:, :1] + from_deeper * share[:, 1:]
        if list(fused.shape[2:]) != list(sides):
            fused = F.interpolate(fused, list(sides))
        return _normed(self.widen_norm, self.widen(fused)), fused

    def __call__(
        self, stage: Tensor, deeper: Tensor | None, sides: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        return cast(tuple[Tensor, Tensor], super().__call__(stage, deeper, sides))


def _normed(norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
    """One value a channel has no spread: it is normed by what was seen before."""
    several = maps.numel() > maps.shape[1]
    return F.batch_norm(
        maps,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        training=norm.training and several,
        momentum=norm.momentum or 0.0,
        eps=norm.eps,
    )


class Reviewkd(Method):
    """Stages of the student fused from the deepest on, each compared with the teacher's.

    Args:
        layers: Stages or module paths of both models, the first the earliest.
        teacher_layers: The teacher's, as many; empty is the same as `layers`.
        warmup: Share of the training over which the loss rises to its weight; the authors' 20 of
            240 epochs.
    """

    needs = frozenset({"logits", "features"})

    def __init__(
        self,
        *,
        layers: tuple[str, ...] = ("early", "middle", "late"),
        teacher_layers: tuple[str, ...] = (),
        warmup: Share = 1 / 12,
    ) -> None:
        super().__init__()
        its = teacher_layers or layers
        if not layers or len(its) != len(layers):
            raise UsageError(
                f"reviewkd has {len(layers)} layers of the student and {len(its)} of the teacher.",
                where="distill.method.layers",
                fix="Name as many of both, one at least.",
            )
        self.taps = tuple(zip(layers, its, strict=True))
        self.warmup = warmup
        self.fusions = nn.ModuleList()

    def build(self, student: Outputs, teacher: Outputs) -> None:
        mine, its = self._maps(student, teacher)
        middle = min(WIDEST, mine[-1].shape[1])
        self.fusions = nn.ModuleList(
            Fusion(own.shape[1], middle, other.shape[1], deeper=at + 1 < len(mine))
            for at, (own, other) in enumerate(zip(mine, its, strict=True))
        )

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        mine, its = self._maps(student, teacher)
        if len(self.fusions) != len(mine):
            raise UsageError(
                "the fusions of 'reviewkd' were not made.",
                fix="Call `build` with the features of a few rows, or give the objective both "
                "models.",
            )
        losses, deeper = [], None
        for fusion, own, other in reversed(list(zip(self.fusions, mine, its, strict=True))):
            made, deeper = cast(Fusion, fusion)(own, deeper, other.shape[2:])
            losses.append(hcl_loss(made, other))
        done = self.classroom.progress(batch)
        return min(1.0, done / self.warmup if self.warmup else 1.0) * torch.stack(losses).sum(dim=0)

    def _maps(self, student: Outputs, teacher: Outputs | None) -> tuple[list[Tensor], list[Tensor]]:
        return (
            [_map(self.features(student, own)) for own, _ in self.taps],
            [_map(self.features(teacher, other)) for _, other in self.taps],
        )


def _map(features: Tensor) -> Tensor:
    """A vector is a map of one position, a series one of width 1."""
    shape = [*features.shape, *[1] * (MAPS - features.ndim)]
    return features.reshape(shape)
