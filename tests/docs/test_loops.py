"""Losses in somebody else's loop, as the guide shows them. Lightning and skorch do not come with
Stillhouse: the tests run where they are installed.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from training.blobs import blobs

GUIDE = Path(__file__).parent.parent.parent / "docs" / "examples" / "guide"
DATA = blobs(60)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, GUIDE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Knows(nn.Module):
    """A teacher of the three clouds."""

    def forward(self, inputs: Tensor) -> Tensor:
        return 3 * inputs[:, :3]


def agreement(student: nn.Module) -> float:
    with torch.no_grad():
        told = Knows()(DATA.inputs).argmax(1)
        return float((student.eval()(DATA.inputs).argmax(1) == told).double().mean())


@pytest.mark.filterwarnings("ignore")
def test_lightnings_student_comes_to_agree_with_its_teacher(tmp_path: Path):
    lightning = pytest.importorskip("lightning")
    student = nn.Linear(4, 3)
    before = agreement(student)
    loader = DataLoader(TensorDataset(DATA.inputs, DATA.targets), batch_size=20, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=40,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(example("lightning_student").Distilled(Knows(), student), loader)
    assert agreement(student) > max(before, 0.8)


def test_of_several_labels_a_row_each_is_learned_from_labels_and_teacher():
    inputs = torch.randn(80, 4)
    targets = (inputs[:, :3] > 0).float()
    targets[40:] = torch.nan  # nobody has told: the teacher does
    student = example("several_labels").train(nn.Linear(4, 3), Knows(), inputs, targets)
    with torch.no_grad():
        right = (student(inputs) > 0) == (inputs[:, :3] > 0)
    assert right.float().mean() > 0.95


@pytest.mark.filterwarnings("ignore")
def test_skorchs_student_comes_to_agree_with_its_teacher():
    pytest.importorskip("skorch")
    student = nn.Linear(4, 3)
    before = agreement(student)
    net = example("skorch_student").Distilled(
        student, ask=Knows().forward, max_epochs=40, lr=0.1, train_split=None, verbose=0
    )
    net.fit(DATA.inputs.numpy(), DATA.targets.numpy().astype(np.int64))
    assert agreement(net.module_) > max(before, 0.8)
