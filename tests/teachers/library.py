"""A small library of nets that stands where timm or torchvision would, which cannot be installed
here: a real module on the path, imported as any other.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean(dim=(2, 3)))
"""
TIMM = f"""{NETS}
def list_models():
    return ["tiny", "small"]


def create_model(name, pretrained, num_classes):
    assert not pretrained
    return Net(num_classes)
"""
MODELS = f"""{NETS}
def list_models():
    return ["tiny", "small"]


def get_model(name, weights, num_classes):
    assert weights is None
    return Net(num_classes)
"""


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Put both libraries onto the path."""
    (folder / "torchvision").mkdir(parents=True)
    (folder / "timm.py").write_text(TIMM)
    (folder / "torchvision" / "__init__.py").write_text("from torchvision import models\n")
    (folder / "torchvision" / "models.py").write_text(MODELS)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.partition(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]
