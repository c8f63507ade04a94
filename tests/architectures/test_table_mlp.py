import pytest
import torch
from architectures.nets import IMAGE, TABLE

from stillhouse.architectures.build import build_classifier
from stillhouse.architectures.table_mlp import TableMLP
from stillhouse.errors import UsageError
from stillhouse.models.normalize import Normalize


def test_its_rows_are_the_encoded_ones() -> None:
    model = build_classifier(
        {"name": "table_mlp", "width": 8}, TABLE, Normalize.empty(TABLE), 0, "distill.student"
    )
    assert (
        model.net.stem.in_features == 5
    )  # two numbers, one mark of a missing cell, two categories
    assert model(torch.tensor([[torch.nan, 1.0, torch.nan]])).isfinite().all()


def test_deep_ones_still_pass_a_signal_of_usual_size() -> None:
    net = TableMLP(width=16, depth=30).build((4,), 3)
    assert 0.1 < net(torch.randn(200, 4)).std().item() < 10


def test_images_are_refused() -> None:
    with pytest.raises(UsageError, match="'table_mlp' takes table, not image data"):
        build_classifier({"name": "table_mlp"}, IMAGE, Normalize.empty(IMAGE), 0, "distill.student")
