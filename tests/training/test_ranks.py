"""Two processes that train one model, against one that trains it alone; all of them real, joined by
gloo on this machine.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stillhouse.errors import SettingsError
from stillhouse.training.ranks import ALONE, Ranks

HERE = Path(__file__).parent
CHECKS = ["net convnet float32", "net convnet float64", "method combine", "row"]
LONGER = [
    *(f"net dropout {dtype}" for dtype in ("float32", "float64")),
    *(f"method {name}" for name in ("dist", "rkd", "crd", "igdm")),
    "refused",
    "resume",
    "fabric",
]


def started(folder: Path, rank: int, *checks: str, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "ranked.py"), str(folder), str(rank), "2", *checks],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
            "STILLHOUSE_FAILPOINTS": failpoint,
            "LOCAL_RANK": str(rank),
            "PYTHONWARNINGS": "ignore",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(folder: Path, checks: list[str]) -> dict[str, str]:
    pair = [started(folder, rank, *checks) for rank in (0, 1)]
    said = [each.communicate(timeout=600) for each in pair]
    assert [each.returncode for each in pair] == [0, 0], said
    return json.loads(said[0][0])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return told(tmp_path_factory.mktemp("ranks"), CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_two_processes_come_to_what_one_comes_to(found: dict[str, str], name: str) -> None:
    assert found[name] == ""


@pytest.mark.stories
def test_a_process_that_dies_ends_the_others_and_all_go_on_to_the_same_bits(
    tmp_path: Path,
) -> None:
    """The second of two is killed in the middle of a step; Fabric is tried where it is there."""
    first, second = started(tmp_path, 0), started(tmp_path, 1, failpoint="training.batch=kill@26")
    said = [each.communicate(timeout=600)[1] for each in (first, second)]
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == 1
    assert "TrainingFailed: ranks: another process of the training is gone" in said[0]
    wrong = {name: why for name, why in told(tmp_path, LONGER).items() if why}
    assert not wrong or (list(wrong) == ["fabric"] and wrong["fabric"].startswith("skipped"))


def test_rows_are_shared_evenly_and_each_has_one_owner() -> None:
    for rows in (2, 7, 12, 13):
        parts = [Ranks(3, rank).mine(rows) for rank in range(3)]
        assert [at for part in parts for at in range(rows)[part]] == list(range(rows))
        sizes = [len(range(rows)[part]) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_without_a_group_a_process_is_alone() -> None:
    assert Ranks.joined() == ALONE
    assert ALONE.leads


def test_a_strategy_that_cuts_the_model_is_refused_by_name() -> None:
    class FSDPStrategy: ...

    class DDPStrategy: ...

    class Fabric:
        world_size, global_rank = 2, 1

        def __init__(self, strategy: object) -> None:
            self.strategy = strategy

    with pytest.raises(SettingsError, match="'FSDPStrategy' does not leave"):
        Ranks.of(Fabric(FSDPStrategy()))
    assert Ranks.of(Fabric(DDPStrategy())) == Ranks(2, 1)


def test_alone_nothing_is_added_up() -> None:
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    before = model.weight.grad.clone()
    ALONE.add_up(model)
    assert torch.equal(before, model.weight.grad)


def test_the_loop_of_the_guide_trains_alone_too(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(HERE.parents[1] / "docs/examples/guide/ranks.py"))
    assert "val_score" in capsys.readouterr().out
