"""What a method's card shows works as it stands: its settings are taken, Optuna takes its search
space, its code runs.
"""

import re
from typing import Any

import pytest
import torch
import yaml
from integration.house import REPOSITORY
from torch import nn

from stillhouse import plugins
from stillhouse.distillation.methods.dist import dist_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.settings import check
from stillhouse.tuning.space import distributions

NAMES = sorted(plugins.available("methods"))
PARTS = ("**When.**", "**When not.**", "| setting |", "**Needs**", "**Cost**", "**Source.**")


def card(name: str) -> str:
    return (REPOSITORY / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", card(name), re.DOTALL)


def around() -> dict[str, Any]:
    """What a card's code takes for given."""
    torch.manual_seed(0)
    logits = ("student", "teacher", "attacked", "clean", "attacked_teacher", "averaged")
    given: dict[str, Any] = {f"{name}_logits": torch.randn(6, 3) for name in logits}
    given |= {"targets": torch.arange(6) % 3, "kd_loss": kd_loss, "dist_loss": dist_loss}
    given |= {"student_features": torch.randn(6, 4), "teacher_features": torch.randn(6, 5)}
    given |= {"student_maps": torch.randn(6, 2, 8, 8), "teacher_maps": torch.randn(6, 2, 8, 8)}
    given |= {"projector": nn.Linear(4, 5), "scores": torch.rand(6, 9) + 0.1}
    given |= {"student_mean": torch.randn(6, 1), "teacher_mean": torch.randn(6, 1)}
    return given


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_all_its_parts(name: str):
    text = card(name)
    assert [part for part in PARTS if part not in text] == []
    assert text.startswith(f"# {name}: ")


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_are_taken_and_optuna_takes_its_space(name: str):
    for block in blocks(name, "yaml"):
        section = yaml.safe_load(block)["distill"]
        check(section)
        distributions(section)


@pytest.mark.parametrize("name", NAMES)
def test_its_code_runs(name: str):
    assert blocks(name, "python")
    for block in blocks(name, "python"):
        held = around()
        exec(compile(block, f"docs/methods/{name}.md", "exec"), held)
        if isinstance(loss := held.get("loss"), torch.Tensor):
            assert torch.isfinite(loss).all()
