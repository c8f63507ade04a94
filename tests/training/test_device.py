"""Training, evaluation and attacks on a device that is not the CPU: torch's own kind for backends
in Python (see `away.py`). No GPU is needed, and none was seen.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stillhouse.errors import SettingsError
from stillhouse.models.device import CPU, chosen, device_of, seat

HERE = Path(__file__).parent
METHODS = ["kd", "dkd", "dist", "fitnet", "crd", "rkd", "born_again", "ema_teacher", "combine"]
CHECKS = [
    "refuses to mix",
    "is found",
    *(f"method {name}" for name in [*METHODS, "trades"]),
    *(f"selector {name}" for name in ("class_trust", "curriculum")),
    "attack pgd",
    "fleet",
    "resume",
]
OTHERS = ["adaad", "ce", "embedding", "focal", "igdm", "multi_label", "pgd_at", "reviewkd"]
SELECTORS = ["all", "by_class", "confidence", "disagreement", "teacher_correct", "uncertain"]
LONGER = [
    *(f"method {name}" for name in [*OTHERS, "rslad", "saad", "srd", "wttm"]),
    *(f"selector {name}" for name in SELECTORS),
    *(f"attack {name}" for name in ("apgd_dlr", "fab")),
    "steps",
]


def checked(folder: Path, names: list[str]) -> dict[str, str]:
    """A process of its own, as torch cannot forget a device."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "away_checks.py"), str(folder), *names],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return checked(tmp_path_factory.mktemp("away"), CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_another_device_comes_to_what_the_cpu_comes_to(found: dict[str, str], name: str) -> None:
    assert found[name] == ""


@pytest.mark.stories
def test_so_do_all_methods_and_selectors_and_the_steps(tmp_path: Path) -> None:
    found = checked(tmp_path, LONGER)
    assert found == dict.fromkeys(LONGER, "")


def test_every_method_and_selector_is_among_them() -> None:
    from stillhouse import plugins

    told = {*CHECKS, *LONGER}
    methods = set(plugins.available("methods")) - {"match", "teacher_bounded"}
    assert {f"method {name}" for name in methods} <= told
    assert {f"selector {name}" for name in plugins.available("selectors")} <= told


def test_a_device_that_is_not_here_is_refused_by_its_variable() -> None:
    assert chosen("cpu") == CPU
    for name in ("xpu", "nonsense"):
        with pytest.raises(SettingsError, match="STILLHOUSE_DEVICE") as refused:
            chosen(name)
        assert name in str(refused.value)


def test_processes_side_by_side_take_the_accelerators_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.accelerator, "set_device_index", taken.append)
    was = torch.are_deterministic_algorithms_enabled()
    try:
        for number in range(3):
            seat(torch.device("cuda"), number)
        assert taken == [0, 1, 0]
        assert torch.are_deterministic_algorithms_enabled()  # as in the process that started them
        seat(torch.device("cuda:1"), 0)  # one that is named by its number is for all of them
        assert taken == [0, 1, 0, 1]
    finally:
        torch.use_deterministic_algorithms(was)
    seat(CPU, 1)
    assert taken == [0, 1, 0, 1]


def test_a_model_without_weights_is_nowhere() -> None:
    assert device_of(torch.nn.ReLU()) is None
    assert device_of(torch.nn.BatchNorm1d(2)) == CPU
