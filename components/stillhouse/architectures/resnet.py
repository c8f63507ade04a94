"""The residual net for small images."""

from collections import OrderedDict
from typing import ClassVar, Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.models.layers import Average

STAGES = 3
Depth = Literal[8, 14, 20, 26, 32, 38, 44, 50, 56, 74, 110]


class ResNet(Architecture):
    """Three stages of residual blocks; each stage after the first halves the image and doubles the
    filters, then positions are averaged.

    The shortcut into a narrower stage takes every second pixel and fills new channels with zeros
    (the paper's option A), so that it has no weights. Weights are named as in the usual ports of
    the CIFAR nets (`conv1`, `layer1.0.conv1`, …, `linear`), so that their checkpoints fit.

    Args:
        depth: Layers with weights, 6n + 2 for n blocks a stage.
        width: Filters of the first stage; 16 in the paper.

    Source:
        He, Zhang, Ren and Sun 2016, arXiv:1512.03385, section 4.2.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(self, *, depth: Depth = 20, width: Count = 16) -> None:
        self.blocks, self.width = (depth - 2) // 6, width

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [channels, height, width]; its taps are `layer1`, `layer2`,
        `layer3`, `pooled`, `linear` and those inside.
        """
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(shape[0], self.width, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(self.width),
            relu=nn.ReLU(),
        )
        incoming = self.width
        for stage in range(STAGES):
            outgoing = self.width * 2**stage
            strides = [1 if stage == 0 else 2, *[1] * (self.blocks - 1)]
            layers[f"layer{stage + 1}"] = nn.Sequential(
                *[
                    _Block(incoming if at == 0 else outgoing, outgoing, stride)
                    for at, stride in enumerate(strides)
                ]
            )
            incoming = outgoing
        layers["pooled"] = Average()
        layers["linear"] = nn.Linear(incoming, classes)
        net = nn.Sequential(layers)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        return net


class _Block(nn.Module):
    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(incoming, outgoing, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outgoing)
        self.conv2 = nn.Conv2d(outgoing, outgoing, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outgoing)
        self.stride = stride
        before = (outgoing - incoming) // 2
        self.filled = (before, outgoing - incoming - before)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps
        if self.stride > 1:
            shortcut = F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.filled))
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps))))) + shortcut)

    def __call__(self, maps: Tensor) -> Tensor:
        return cast(Tensor, super().__call__(maps))
