"""One settings change makes a robust student, with a plain one beside it; what that one withstands
is measured in test_robustness.py.
"""

from pathlib import Path

import pytest
from steps.classroom import changed, enter, run

from stillhouse.steps import robustness
from stillhouse.workspace import Workspace, load_tensors


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return enter(tmp_path_factory.getbasetemp(), tmp_path / "house")


def steps(root: Path, *sets: str) -> None:
    params = changed("tune.trials=1", "distill.seeds=1", *sets)
    for name in ("tune", "distill"):
        run(root, name, params)


@pytest.mark.parametrize("name", ["rslad", "adaad"])
def test_its_plain_brother_is_trained_and_stored_beside_it(root: Path, name: str):
    steps(root, f"distill.method.name={name}")
    house = Workspace(root)
    told = house.read_json("artifacts/distill/arms.json")["arms"]
    assert [arm["name"] for arm in told] == ["student", "none", "hard", "plain"]
    assert {arm["name"]: arm["settings"]["method"] for arm in told}["plain"] == {"name": "kd"}
    student, plain = (
        load_tensors(root / f"artifacts/distill/{who}.safetensors") for who in ("student", "plain")
    )
    assert student.keys() == plain.keys()
    assert "receipt/gain_over_plain" in house.read_json("artifacts/distill/metrics.json")


def test_a_plain_student_has_nobody_beside_it(root: Path):
    steps(root)
    assert load_tensors(root / "artifacts/distill/plain.safetensors") == {}
    assert robustness.PLAIN in robustness.READS


def test_what_a_selector_kept_back_is_written_beside_the_student(root: Path):
    steps(root)
    assert Workspace(root).read_json("artifacts/distill/transfer.json") is None
    steps(root, "distill.selector={name: confidence, threshold: 0.6}")
    told = Workspace(root).read_json("artifacts/distill/transfer.json")
    assert told["selector"] == {"name": "confidence", "threshold": 0.6}
    assert 0 < told["share"] < 1
    assert told["nothing"] == len(told["none"]) > 0
    assert sum(one["rows"] for one in told["by_class"]) == 120
