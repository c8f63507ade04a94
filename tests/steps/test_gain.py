"""The arms tell a teacher that knows something from one that knows nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from steps.classroom import enter

from stillhouse.data import prepared
from stillhouse.distillation.arms import Arm
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.gain import Gain, sentence, two_way
from stillhouse.steps import arm as arms
from stillhouse.workspace import StepFiles, Workspace

SECTION = {
    "student": {"name": "mlp", "width": 32, "depth": 1},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "epochs": 40,
    "batch": 64,
}


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> StepFiles:
    return StepFiles(Workspace(enter(tmp_path_factory.getbasetemp(), tmp_path / "work")), "distill")


def gain(files: StepFiles, material: arms.Material, over: Arm) -> Gain:
    test = prepared.load(files, "test")
    right = [
        torch.stack(
            [
                metrics.correct(
                    logits_of(
                        arms.train(arm, SECTION, seed=seed, material=material).model, test.inputs
                    ),
                    test.targets,
                )
                for seed in range(3)
            ]
        )
        for arm in ("student", over)
    ]
    return two_way(*right)


def test_a_teacher_that_knows_something_gives_points_over_labels_alone(files: StepFiles) -> None:
    found = gain(files, arms.Material.read(files), "none")
    assert found.low > 0
    assert sentence("none", found).startswith("The teacher gave")


def test_a_teacher_of_random_probabilities_gives_no_evidence_of_a_gain(files: StepFiles) -> None:
    material = arms.Material.read(files)
    noise = torch.rand(material.answers.shape, generator=torch.Generator().manual_seed(0)).log()
    found = gain(files, replace(material, answers=noise), "none")
    assert found.low <= 0
    assert not sentence("none", found).startswith("The teacher gave")
