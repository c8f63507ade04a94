"""A net as one writes it without thinking of Stillhouse."""

from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int, hidden: int = 32) -> None:
        super().__init__()
        channels, height, width = shape
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, classes)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.body(rows))
