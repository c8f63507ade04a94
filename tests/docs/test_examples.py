"""What the README shows works as it stands: files of ten lines for data, teacher, student and
method, and data of one's own through settings alone.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.house import REPOSITORY, WARNINGS, House, project, states

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings(*WARNINGS)]

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
EXAMPLES = [
    path
    for path in sorted((REPOSITORY / "docs" / "examples").glob("*.py"))
    if f"<!-- docs/examples/{path.name} -->" in README
]
TINY: dict[str, Any] = {
    "prepare": {"labelled": 40, "unlabelled": 80},
    "tune": {"trials": 1},
    "distill": {
        "optimizer": {"name": "adamw", "lr": 0.01},
        "method": {"name": "kd"},
        "student": {"name": "mlp", "width": 8, "depth": 1},
        "epochs": 30,
        "seeds": 3,
    },
    "robustness": {"attacks": []},
    "gate": {"rules": [{"metric": "test/accuracy", "at_least": 0.5}]},
}
TEACHER = {
    "name": "fit",
    "architecture": {"name": "mlp", "width": 16, "depth": 1},
    "epochs": 20,
    "gate": None,
}


@pytest.fixture(autouse=True)
def _tidy() -> Any:
    """Modules that a project's settings named are this project's."""
    yield
    for name in [name for name in sys.modules if name.startswith("stillhouse_user_")]:
        del sys.modules[name]


def test_the_four_files_of_the_readme_give_a_promoted_student(tmp_path: Path):
    changes = {
        "model": "moons",
        "plugins": [path.name for path in EXAMPLES],
        "prepare": {"source": {"name": "two_moons", "rows": 600}, "labelled": 40, "unlabelled": 80},
        "teacher": {"name": "nearest", "neighbours": 5},
        "distill": {
            **TINY["distill"],
            "student": {"name": "wide_then_narrow", "narrow": 8},
            "method": {"name": "logit_matching", "scale": 0.5},
        },
    }
    house = project(tmp_path / "my project", {**TINY, **changes}, EXAMPLES)
    told = house.json("run")
    assert (told["outcome"], told["version"], set(states(told).values())) == (
        "promoted",
        1,
        {"ran"},
    )
    receipt = house.artifact("report/receipt.json")
    assert (receipt["teacher"]["name"], receipt["student"]["name"]) == (
        "nearest",
        "wide_then_narrow",
    )
    assert receipt["settings"]["distill"]["method"] == {"name": "logit_matching", "scale": 0.5}
    assert receipt["student"]["test_accuracy"][1] > 0.7
    locked = (house.root / "code.lock.json").read_text()
    assert [path.name for path in EXAMPLES if f'"{path.name}"' not in locked] == []


def table(rows: int = 300) -> str:
    """Patients with a category, a number and missing cells in both."""
    random = np.random.default_rng(0)
    lines = ["age,colour,dose,outcome"]
    for at in range(rows):
        sick = at % 2
        age = "" if at % 11 == 0 else f"{random.normal(50 + 15 * sick, 8):.1f}"
        colour = (
            ""
            if at % 13 == 0
            else random.choice(
                ["red", "blue", "green"], p=[0.6, 0.2, 0.2] if sick else [0.2, 0.2, 0.6]
            )
        )
        lines.append(f"{age},{colour},{random.normal(sick):.2f},{('well', 'sick')[sick]}")
    return "\n".join(lines) + "\n"


def told(house: House, kind: str, shape: list[int]) -> dict[str, Any]:
    """Bring a project to its receipt, and hold it to the data."""
    house.bring()
    schema, receipt = house.artifact("prepare/schema.json"), house.artifact("report/receipt.json")
    assert (schema["kind"], schema["shape"]) == (kind, shape)
    assert receipt["verdict"] in ("promote", "hold", "reject")
    assert receipt["data"]["rows"]["labelled"] == 40
    assert (house.root / "artifacts" / "report" / "receipt.html").stat().st_size > 10_000
    found: dict[str, Any] = receipt
    return found


def test_a_table_with_categories_and_missing_cells_needs_settings_alone(tmp_path: Path):
    source = {"name": "csv", "path": "data.csv", "target": "outcome"}
    house = project(
        tmp_path / "my project",
        {**TINY, "teacher": TEACHER, "prepare": {**TINY["prepare"], "source": source}},
    )
    (house.root / "data.csv").write_text(table())
    receipt = told(house, "table", [3])
    features = {f["name"]: f for f in house.artifact("prepare/schema.json")["features"]}
    assert (
        features["colour"]["kind"],
        features["colour"]["categories"],
        features["colour"]["missing"],
    ) == ("category", ["blue", "green", "red"], True)
    assert features["age"]["missing"]
    assert not features["dose"]["missing"]
    assert receipt["student"]["test_accuracy"][1] > 0.6


def test_series_in_an_archive_need_settings_alone(tmp_path: Path):
    random, targets = np.random.default_rng(0), np.arange(300) % 3
    steps = np.arange(12)[None, :, None]
    inputs = np.sin(steps * (1 + targets[:, None, None]) / 2) + 0.3 * random.normal(
        size=(300, 12, 2)
    )
    house = project(
        tmp_path / "my project",
        {
            **TINY,
            "teacher": TEACHER,
            "prepare": {**TINY["prepare"], "source": {"name": "npz", "path": "data.npz"}},
        },
    )
    np.savez(house.root / "data.npz", inputs=inputs.astype(np.float32), targets=targets)
    assert told(house, "series", [12, 2])["student"]["test_accuracy"][1] > 0.5


def test_colour_images_in_an_archive_need_settings_alone(tmp_path: Path):
    random, targets = np.random.default_rng(0), np.arange(240) % 2
    inputs = 0.6 * random.uniform(size=(240, 3, 8, 8))
    inputs[targets == 1, 0] += 0.3  # reddish
    net = {"name": "convnet", "width": 4}
    changes = {
        "teacher": {**TEACHER, "architecture": net, "epochs": 5},
        "distill": {**TINY["distill"], "student": net, "epochs": 5},
    }
    house = project(
        tmp_path / "my project",
        {
            **TINY,
            **changes,
            "prepare": {**TINY["prepare"], "source": {"name": "npz", "path": "data.npz"}},
        },
    )
    names = np.array(["grey", "red"])
    np.savez(house.root / "data.npz", inputs=inputs.astype(np.float32), targets=names[targets])
    assert told(house, "image", [3, 8, 8])["student"]["name"] == "convnet"
    assert house.artifact("prepare/schema.json")["classes"] == ["grey", "red"]


def test_a_useless_teacher_is_said_to_have_helped_in_nothing(tmp_path: Path):
    """Its probabilities are drawn at random, and no gate stops it."""
    changes = {
        "prepare": {
            **TINY["prepare"],
            "source": {"name": "csv", "path": "data.csv", "target": "outcome"},
        },
        "teacher": {"name": "predictions", "path": "answers.npz", "gate": None},
    }
    house = project(tmp_path / "my project", {**TINY, **changes})
    (house.root / "data.csv").write_text(table())
    np.savez(
        house.root / "answers.npz",
        rows=np.arange(300),
        probabilities=np.random.default_rng(0).dirichlet([1, 1], 300).astype(np.float32),
    )
    receipt = told(house, "table", [3])
    assert [gain["over"] for gain in receipt["teacher_gain"]] == ["none", "hard"]
    assert [
        s
        for gain in receipt["teacher_gain"]
        if "No evidence" not in (s := gain["sentence"]) and " hurt" not in s
    ] == []
