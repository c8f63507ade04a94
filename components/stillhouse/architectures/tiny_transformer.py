"""A small transformer over patches of an image or of a series."""

import math
from collections import OrderedDict
from typing import Annotated, ClassVar, cast

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.errors import SettingsError

MAX_TOKENS = 1024  # attention costs their square


class TinyTransformer(Architecture):
    """Patches become tokens with a learned place; blocks of attention and a hidden layer follow,
    each behind a layer norm; then tokens are averaged.

    A side that the patch does not divide is filled up with zeros at its end.

    Args:
        width: Features a token; a multiple of `heads`.
        depth: Blocks.
        heads: Attention heads.
        patch: Side of a patch in pixels, or its length in steps.
        dropout: Share of hidden units dropped while training.

    Source:
        Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1, without a class token (its appendix
        D.3).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series"})

    def __init__(
        self,
        *,
        width: Count = 32,
        depth: Count = 2,
        heads: Count = 2,
        patch: Count = 4,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    ) -> None:
        if width % heads:
            raise SettingsError(
                f"the width {width} is no multiple of the {heads} heads.",
                where="width",
                fix="Choose another width or number of heads.",
            )
        self.width, self.depth, self.heads, self.patch, self.dropout = (
            width,
            depth,
            heads,
            patch,
            dropout,
        )

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [channels, height, width] or [T, D]; its taps are `tokens`,
        `block1`, …, `pooled`, `logits`.

        Raises:
            SettingsError: There would be more than 1,024 tokens.
        """
        tokens = _Tokens(shape, self.width, self.patch)
        if tokens.count > MAX_TOKENS:
            said = (
                f"patches of {self.patch} make {tokens.count:,} tokens, more than {MAX_TOKENS:,}."
            )
            raise SettingsError(said, where="patch", fix="Choose a larger patch.")
        layers: OrderedDict[str, nn.Module] = OrderedDict(tokens=tokens)
        for number in range(1, self.depth + 1):
            layers[f"block{number}"] = _Block(self.width, self.heads, tokens.count, self.dropout)
        layers["norm"] = nn.LayerNorm(self.width)
        layers["pooled"] = _Average()
        layers["logits"] = nn.Linear(self.width, classes)
        return nn.Sequential(layers)


class _Tokens(nn.Module):
    """From rows [B, *shape] to tokens [B, T, width]."""

    def __init__(self, shape: tuple[int, ...], width: int, patch: int) -> None:
        super().__init__()
        self.flat = len(shape) == 2
        sides = shape[:1] if self.flat else shape[1:]
        self.fill = [end for side in reversed(sides) for end in (0, -side % patch)]
        self.count = math.prod(-(-side // patch) for side in sides)
        self.embed: nn.Module = (
            nn.Conv1d(shape[1], width, patch, stride=patch)
            if self.flat
            else nn.Conv2d(shape[0], width, patch, stride=patch)
        )
        self.place = nn.Parameter(torch.randn(1, self.count, width) * 0.02)

    def forward(self, rows: Tensor) -> Tensor:
        maps = F.pad(rows.transpose(1, 2) if self.flat else rows, self.fill)
        return cast(Tensor, self.embed(maps).flatten(2).transpose(1, 2) + self.place)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = _Attention(width, heads, tokens)
        self.norm2 = nn.LayerNorm(width)
        parts: list[nn.Module] = [nn.Linear(width, 2 * width), nn.GELU()]
        if dropout:
            parts.append(nn.Dropout(dropout))
        self.hidden = nn.Sequential(*parts, nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        return cast(Tensor, tokens + self.hidden(self.norm2(tokens)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.mixed = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.row_macs = 2 * tokens * tokens * width  # scores, and the sums that they weigh

    def forward(self, tokens: Tensor) -> Tensor:
        split = self.mixed(tokens).unflatten(
            2, (3, self.heads, -1)
        )  # [B, T, 3, heads, width / heads]
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query @ key.transpose(2, 3)) / math.sqrt(query.shape[3])
        seen = (scores.softmax(dim=3) @ value).transpose(1, 2).flatten(2)
        return cast(Tensor, self.out(seen))


class _Average(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1)
