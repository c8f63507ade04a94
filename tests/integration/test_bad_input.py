"""Bad input gets one clear sentence with the fix and the right exit code, and nothing that was
there is lost. Each case has its positive control.
"""

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from integration.house import House, project
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from stillhouse.errors import (
    DataError,
    PluginNotFound,
    SettingsError,
    SourceError,
    StillhouseError,
    TeacherBelowGate,
    TrainingFailed,
)
from stillhouse.pipeline import Project

ROWS = 240
SMALL = {
    "model": "bench",
    "prepare": {
        "source": {"name": "csv", "path": "good.csv", "target": "y"},
        "labelled": 40,
        "unlabelled": 40,
    },
    "teacher": {
        "name": "fit",
        "architecture": {"name": "mlp", "width": 8, "depth": 1},
        "epochs": 5,
        "gate": None,
    },
    "tune": {"trials": 1},
    "distill": {
        "student": {"name": "mlp", "width": 4, "depth": 1},
        "optimizer": {"name": "adamw", "lr": 0.01},
        "method": {"name": "kd"},
        "epochs": 5,
        "seeds": 2,
    },
    "robustness": {"attacks": []},
    "gate": {"rules": [{"metric": "test/accuracy", "at_least": 0.5}]},
}


def table(rows: int = ROWS) -> str:
    """A table of two classes that a small net learns."""
    random = np.random.default_rng(0)
    lines = [
        f"{random.normal(i % 2):.3f},{random.normal(-(i % 2)):.3f},{('red', 'blue')[i % 2]}"
        for i in range(rows)
    ]
    return "\n".join(["a,b,y", *lines]) + "\n"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A project on a small table, its steps run in this process."""
    made = project(tmp_path_factory.mktemp("bad input") / "a bench", SMALL)
    (made.root / "good.csv").write_text(table())
    return made


def bring(bench: House, sets: Sequence[str], last: str | None) -> None:
    """Do what `stillhouse run` does up to a step; None only reads the settings."""
    if last is None:
        Project.open(bench.root, sets)
    else:
        bench.bring(*sets, last=last)


def refused(
    bench: House, sets: Sequence[str], last: str | None, kind: type[StillhouseError], *said: str
) -> StillhouseError:
    """See that settings or data are refused with that error and those words, and that every file
    that was there is as it was.
    """
    before, settings = bench.hashes(), (bench.root / "params.yaml").read_bytes()
    with pytest.raises(kind) as caught:
        bring(bench, sets, last)
    message = str(caught.value)
    assert [word for word in said if word not in message] == [], message
    assert caught.value.fix or "Known: " in message, f"no fix: {message}"
    assert "\n" not in message
    kept = bench.hashes()
    assert {name: kept.get(name) for name in before} == before
    assert (bench.root / "params.yaml").read_bytes() == settings
    return caught.value


# --- settings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """A setting that cannot be meant, what its message has to say, and the like of it that can."""

    bad: str
    good: str
    said: tuple[str, ...]
    kind: type[StillhouseError] = field(default=SettingsError)


KNOWN: dict[str, Wrong] = {
    "a misspelt section": Wrong(
        "distil.method.name=kd", "distill.method.name=kd", ("'distil'", "Did you mean 'distill'?")
    ),
    "an unknown section": Wrong(
        "serve={port: 1}", "report={}", ("unknown section 'serve'", "Known: ")
    ),
    "a misspelt key": Wrong(
        "tune.trails=3", "tune.trials=3", ("tune", "'trails'", "Did you mean 'trials'?")
    ),
    "a misspelt key of a plugin": Wrong(
        "distill.method.temprature=3",
        "distill.method.temperature=3",
        ("distill.method", "Did you mean 'temperature'?"),
    ),
    "a misspelt key of a split": Wrong(
        "prepare.split.vall=0.2", "prepare.split.val=0.2", ("prepare.split", "Did you mean 'val'?")
    ),
    "a misspelt key of a rule": Wrong(
        "gate.rules=[{metric: test/accuracy, at_leest: 0.5}]",
        "gate.rules=[{metric: test/accuracy, at_least: 0.5}]",
        ("gate", "at_least"),
    ),
    "a key of release": Wrong(
        "release.aproval=true", "release.approval=true", ("release", "Did you mean 'approval'?")
    ),
    "a wrong type": Wrong(
        "distill.epochs=many", "distill.epochs=9", ("distill.epochs", "integer", "'many'")
    ),
    "a number in quotes": Wrong(
        "tune.trials='3'", "tune.trials=3", ("tune.trials", "integer", "'3'")
    ),
    "a fraction for a count": Wrong(
        "teacher.epochs=1.5", "teacher.epochs=2", ("teacher", "epochs", "integer", "1.5")
    ),
    "a gate without a rule": Wrong(
        "gate.rules=[]",
        "gate.rules=[{metric: test/accuracy, at_least: 0.5}]",
        ("gate.rules", "without rules"),
    ),
    "a list for a section": Wrong("validate=[1]", "validate={}", ("validate", "mapping")),
    "a text for a plugin": Wrong(
        "distill.method=kd", "distill.method={name: kd}", ("distill.method", "{name: …}", "'kd'")
    ),
    "a bound of a plugin": Wrong(
        "distill.method.temperature=-1",
        "distill.method.temperature=1",
        ("distill.method.temperature", "greater than 0", "-1"),
    ),
    "a bound of a share": Wrong(
        "prepare.split.val=1.5", "prepare.split.val=0.15", ("prepare.split.val", "1.5")
    ),
    "a bound of a count": Wrong("distill.seeds=0", "distill.seeds=2", ("distill.seeds", "0")),
    "a space beyond the plugin's bound": Wrong(
        "distill.method.temperature={float: [-1, 20]}",
        "distill.method.temperature={float: [1, 20]}",
        ("distill.method.temperature", "greater than 0", "-1"),
    ),
    "a space with its ends turned round": Wrong(
        "distill.method.temperature={float: [20, 1]}",
        "distill.method.temperature={float: [1, 20]}",
        ("distill.method.temperature", "rising"),
    ),
    "a log space from zero": Wrong(
        "distill.optimizer.lr={float: [0, 0.1], log: true}",
        "distill.optimizer.lr={float: [0.001, 0.1], log: true}",
        ("distill.optimizer.lr", "log"),
    ),
    "a choice that is no plugin's": Wrong(
        "distill.student.width={choice: [8, wide]}",
        "distill.student.width={choice: [8, 16]}",
        ("distill.student.width", "'wide'"),
    ),
    "a space outside distill": Wrong(
        "teacher.epochs={int: [1, 9]}",
        "distill.student.width={int: [4, 9]}",
        ("teacher.epochs", "only under distill"),
    ),
    "a space in prepare": Wrong(
        "prepare.labelled={int: [1, 9]}",
        "prepare.labelled=40",
        ("prepare.labelled", "only under distill"),
    ),
    "a plugin file that is not there": Wrong(
        "plugins=[absent.py]", "plugins=[]", ("plugins", "'absent.py'")
    ),
    "a name for the model with a slash": Wrong("model=a/b", "model=a-b", ("model", "'a/b'")),
    "a --set without a value": Wrong(
        "tune.trials", "tune.trials=2", ("--set", "section.name=value")
    ),
    "a --set that is no YAML": Wrong(
        "gate.rules=[{a: 1",
        "gate.rules=[{metric: test/accuracy, at_least: 0.5}]",
        ("--set gate.rules", "YAML"),
    ),
}
PLUGINS = {
    "a method": (
        "distill.method.name=dkdd",
        "distill.method.name=dkd",
        "distill.method.name",
        "'dkd'",
    ),
    "a student": (
        "distill.student.name=mpl",
        "distill.student.name=mlp",
        "distill.student.name",
        "'mlp'",
    ),
    "a selector": (
        "distill.selector.name=al",
        "distill.selector.name=all",
        "distill.selector.name",
        "'all'",
    ),
    "a source": (
        "prepare.source.name=digitz",
        "prepare.source.name=digits",
        "prepare.source.name",
        "'digits'",
    ),
    "a teacher": (
        "teacher.name=predictionz",
        "teacher={name: fit, architecture: {name: mlp}, epochs: 1}",
        "teacher.name",
        "'predictions'",
    ),
    "an attack": (
        "robustness.attacks=[{name: pgdd}]",
        "robustness.attacks=[{name: pgd, norm: linf, epsilon: 0.1}]",
        "robustness.attacks",
        "'pgd'",
    ),
    "a rule": (
        "gate.rules=[{name: thresold, metric: test/accuracy}]",
        "gate.rules=[{metric: test/accuracy, at_least: 0.5}]",
        "gate.rules",
        "'threshold'",
    ),
}


@pytest.mark.parametrize("what", KNOWN)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_path(bench: House, what: str):
    case = KNOWN[what]
    bring(bench, [case.good], None)
    assert refused(bench, [case.bad], None, case.kind, *case.said).exit_code == 2


@pytest.mark.parametrize("what", PLUGINS)
def test_a_misspelt_plugin_is_refused_with_the_nearest_name(bench: House, what: str):
    bad, good, *said = PLUGINS[what]
    bring(bench, [good], None)
    assert refused(bench, [bad], None, PluginNotFound, *said).exit_code == 2


# --- data ---------------------------------------------------------------------------------------


def source(name: str) -> list[str]:
    """Return what sets the source to a file of the bench."""
    return [
        f"prepare.source={{name: {'npz' if name.endswith('.npz') else 'csv'}, path: "
        f"{name}{'' if name.endswith('.npz') else ', target: y'}}}"
    ]


def head(lines: int) -> str:
    return "\n".join(table().splitlines()[: lines + 1])


TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "without the target column": (
        table().replace("a,b,y", "a,b,label"),
        ("bad.csv", "no column 'y'", "label"),
    ),
    "with a ragged line": (
        head(7) + "\n1,2,red,4\n" + table(),
        ("bad.csv", "line 9 has 4 cells", "has 3"),
    ),
    "with nothing in it": ("", ("bad.csv", "empty")),
    "with a header and no rows": ("a,b,y\n", ("bad.csv", "no rows")),
    "with an infinite cell": (
        table().replace("a,b,y\n", "a,b,y\n1.0,inf,red\n"),
        ("bad.csv", "column 'b'", "line 2", "infinite"),
    ),
    "with a word among numbers": (
        table().replace("a,b,y\n", "a,b,y\n1.0,tall,red\n"),
        ("bad.csv", "column 'b'", "line 2", "'tall'"),
    ),
    "of one class": (table().replace("red", "blue"), ("bad.csv", "only one class", "'blue'")),
    "with a class of one row": (table() + "1.0,2.0,green\n", ("bad.csv", "'green'", "one row")),
    "without a single target": (
        table().replace("red", "").replace("blue", ""),
        ("bad.csv", "no row has a target"),
    ),
    "of bytes that are no text": ("a,b,y\n\0\n", ("bad.csv", "not a text file")),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_is_refused(bench: House, what: str):
    text, said = TABLES[what]
    bring(bench, source("good.csv"), "prepare")
    (bench.root / "bad.csv").write_text(text)
    assert refused(bench, source("bad.csv"), "prepare", DataError, *said).exit_code == 2


def test_a_file_that_is_not_there_is_refused_by_its_name(bench: House):
    bring(bench, source("good.csv"), "prepare")
    assert (
        refused(
            bench, source("absent.csv"), "prepare", SourceError, "absent.csv", "missing"
        ).exit_code
        == 2
    )


def series(rows: int = ROWS) -> dict[str, np.ndarray]:
    random, targets = np.random.default_rng(0), np.arange(rows) % 2
    return {
        "inputs": (random.normal(size=(rows, 6, 2)) + targets[:, None, None]).astype(np.float32),
        "targets": targets,
    }


def images(rows: int = ROWS) -> dict[str, np.ndarray]:
    random, targets = np.random.default_rng(0), np.arange(rows) % 2
    return {"inputs": random.uniform(size=(rows, 3, 4, 4)).astype(np.float32), "targets": targets}


def flat(rows: int = ROWS) -> dict[str, np.ndarray]:
    return {**series(rows), "inputs": series(rows)["inputs"].reshape(rows, -1)}


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    """Return a copy with a value in row 5."""
    copy = array.copy()
    copy.reshape(len(copy), -1)[5, 1] = value
    return copy


ARCHIVES: dict[
    str,
    tuple[
        Callable[[], dict[str, np.ndarray]],
        Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
        tuple[str, ...],
    ],
] = {
    "of objects": (
        flat,
        lambda a: {**a, "targets": np.array(["red", None] * (ROWS // 2), dtype=object)},
        ("array 'targets'", "Python objects"),
    ),
    "of objects as inputs": (
        flat,
        lambda a: {**a, "inputs": np.array([{}] * ROWS, dtype=object)},
        ("array 'inputs'", "Python objects"),
    ),
    "without inputs": (flat, lambda a: {"rows": a["inputs"]}, ("'inputs'",)),
    "of a series with NaN": (
        series,
        lambda a: {**a, "inputs": spoilt(a["inputs"], np.nan)},
        ("array 'inputs'", "row 5", "nan"),
    ),
    "of an image with NaN": (
        images,
        lambda a: {**a, "inputs": spoilt(a["inputs"], np.nan)},
        ("array 'inputs'", "row 5", "nan"),
    ),
    "of an image outside [0, 1]": (
        images,
        lambda a: {**a, "inputs": a["inputs"] * 255},
        ("array 'inputs'", "[0, 1]", "255"),
    ),
    "of a table with an infinite cell": (
        flat,
        lambda a: {**a, "inputs": spoilt(a["inputs"], np.inf)},
        ("array 'inputs'", "row 5", "inf"),
    ),
    "with fewer targets than rows": (
        flat,
        lambda a: {**a, "targets": a["targets"][:-1]},
        ("array 'targets'", f"{ROWS} rows"),
    ),
    "of one class": (
        flat,
        lambda a: {**a, "targets": a["targets"] * 0},
        ("array 'targets'", "only one class"),
    ),
    "with a class of one row": (
        flat,
        lambda a: {**a, "targets": np.where(np.arange(ROWS) == 3, 7, a["targets"])},
        ("array 'targets'", "'7'", "one row"),
    ),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_is_refused(bench: House, what: str):
    make, spoil, said = ARCHIVES[what]
    np.savez(bench.root / "good.npz", **make())
    bring(bench, source("good.npz"), "prepare")
    np.savez(bench.root / "bad.npz", **spoil(make()))
    assert refused(bench, source("bad.npz"), "prepare", DataError, "bad.npz", *said).exit_code == 2


def test_a_table_with_missing_cells_is_taken(bench: House):
    """The control of what is refused in series and images: in a table, NaN is a missing cell."""
    np.savez(bench.root / "good.npz", **{**flat(), "inputs": spoilt(flat()["inputs"], np.nan)})
    bring(bench, source("good.npz"), "prepare")
    assert any(feature["missing"] for feature in bench.artifact("prepare/schema.json")["features"])


def test_a_pickle_under_the_name_of_an_archive_is_refused_and_never_opened(bench: House):
    (bench.root / "bad.npz").write_bytes(evil(bench.root / "opened"))
    refused(bench, source("bad.npz"), "prepare", SourceError, "bad.npz", "a pickle")
    assert not (bench.root / "opened").exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.mkdir, (str(self.path),)  # type: ignore[return-value]


def evil(path: Path) -> bytes:
    return pickle.dumps(Evil(path))


# --- teachers -----------------------------------------------------------------------------------


def answers(classes: int = 2, rows: int = ROWS) -> dict[str, torch.Tensor]:
    """A teacher that is right two times in three."""
    targets = torch.tensor(
        [1 - i % 2 for i in range(rows)]
    )  # blue is class 0, and the first row is red
    right = torch.tensor([i % 3 != 0 for i in range(rows)])
    said = torch.where(right, targets, 1 - targets)
    return {
        "rows": torch.arange(rows),
        "probabilities": torch.nn.functional.one_hot(said, classes).float() * 0.8 + 0.2 / classes,
    }


def predictions(name: str) -> list[str]:
    return [f"teacher={{name: predictions, path: {name}}}"]


def test_a_pickle_under_the_name_of_safetensors_is_refused_and_never_opened(bench: House):
    save_file(answers(), bench.root / "good.safetensors")
    bring(bench, predictions("good.safetensors"), "teacher")
    (bench.root / "bad.safetensors").write_bytes(evil(bench.root / "opened"))
    assert (
        refused(
            bench,
            predictions("bad.safetensors"),
            "teacher",
            SourceError,
            "bad.safetensors",
            "a pickle",
        ).exit_code
        == 2
    )
    assert not (bench.root / "opened").exists()


def test_a_teacher_of_other_classes_is_refused_with_both_numbers(bench: House):
    save_file(answers(), bench.root / "good.safetensors")
    bring(bench, predictions("good.safetensors"), "teacher")
    save_file(answers(classes=3), bench.root / "bad.safetensors")
    assert (
        refused(
            bench,
            predictions("bad.safetensors"),
            "teacher",
            SourceError,
            "bad.safetensors",
            "3 classes",
            "have 2",
        ).exit_code
        == 2
    )


def test_a_teacher_that_does_not_know_every_row_is_refused(bench: House):
    save_file(answers(), bench.root / "good.safetensors")
    bring(bench, predictions("good.safetensors"), "teacher")
    save_file(answers(rows=ROWS - 5), bench.root / "bad.safetensors")
    refused(bench, predictions("bad.safetensors"), "teacher", SourceError, "no answer for row 23")


def test_a_teacher_that_answers_no_probabilities_is_refused_by_its_row(bench: House):
    save_file(answers(), bench.root / "good.safetensors")
    bring(bench, predictions("good.safetensors"), "teacher")
    wrong = answers()
    wrong["probabilities"][7, 0] = float("nan")
    save_file(wrong, bench.root / "bad.safetensors")
    refused(
        bench, predictions("bad.safetensors"), "teacher", SourceError, "bad.safetensors", "row 7"
    )


def test_a_teacher_below_its_gate_ends_with_three(bench: House):
    save_file(answers(), bench.root / "good.safetensors")
    gated = (
        "teacher={{name: predictions, path: good.safetensors, gate: {{metric: val/accuracy, "
        "at_least: {}}}}}"
    )
    bring(bench, [gated.format(0.4)], "teacher")
    assert (
        refused(
            bench, [gated.format(0.95)], "teacher", TeacherBelowGate, "val/accuracy", "below 0.95"
        ).exit_code
        == 3
    )


def linear(folder: Path, name: str, *, classes: int = 2, external: bool = False) -> None:
    """Save a linear classifier of two features as ONNX, its weights inside or in another file."""
    weight = numpy_helper.from_array(
        np.random.default_rng(0).normal(size=(2, classes)).astype(np.float32), "w"
    )
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", d])
        for n, d in (("inputs", 2), ("logits", classes))
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["inputs", "w"], ["logits"])],
        "teacher",
        values[:1],
        values[1:],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if external:
        onnx.save(
            model,
            folder / name,
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
        )
    else:
        onnx.save(model, folder / name)


def test_an_onnx_teacher_that_keeps_its_weights_elsewhere_is_refused(bench: House):
    linear(bench.root, "good.onnx")
    bring(bench, ["teacher={name: onnx, path: good.onnx}"], "teacher")
    linear(bench.root, "bad.onnx", external=True)
    said = ("bad.onnx", "'w'", "another file", "weights.bin")
    assert (
        refused(
            bench, ["teacher={name: onnx, path: bad.onnx}"], "teacher", SourceError, *said
        ).exit_code
        == 2
    )


def test_an_onnx_teacher_of_other_classes_is_refused(bench: House):
    linear(bench.root, "good.onnx")
    bring(bench, ["teacher={name: onnx, path: good.onnx}"], "teacher")
    linear(bench.root, "bad.onnx", classes=5)
    refused(
        bench,
        ["teacher={name: onnx, path: bad.onnx}"],
        "teacher",
        SourceError,
        "bad.onnx",
        "5 classes",
        "have 2",
    )


# --- training -----------------------------------------------------------------------------------

NAN = """
from torch import Tensor
from stillhouse.config import Natural
from stillhouse.distillation import Batch, Method, Outputs

class Nan(Method):
    def __init__(self, *, position: Natural = 0) -> None:
        super().__init__()
        self.position = position

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        loss = (student.logits - teacher.logits).square().mean(dim=1)
        return loss.masked_fill(batch.rows == self.position, float("nan"))
"""


def test_a_loss_that_is_no_number_is_refused_with_its_rows(bench: House):
    (bench.root / "nan.py").write_text(NAN)
    mine = [*source("good.csv"), "plugins=[nan.py]", "distill.method.name=nan"]
    bring(
        bench, [*mine, f"distill.method.position={ROWS}"], "distill"
    )  # a position that no row has
    row = int(rows_of(bench)[3])
    error = refused(
        bench,
        [*mine, "distill.method.position=3"],
        "distill",
        TrainingFailed,
        f"row {row}.",
        "not finite",
    )
    assert error.exit_code == 1


def rows_of(bench: House) -> torch.Tensor:
    """Return the numbers of the rows that the student sees."""
    from safetensors.torch import load_file

    held = load_file(bench.root / "artifacts" / "prepare" / "train.safetensors")
    return held["rows"][held["picked"].bool()]


# --- through the command line: no traceback, and the champion of a house stays ------------------

SHELL = {
    "broken YAML": ([], "prepare: [unclosed\n", 2, ("params.yaml", "line ")),
    "settings that are no mapping": ([], "- 1\n", 2, ("params.yaml", "mapping")),
    "a misspelt plugin": (
        ["--set", "distill.method.name=dkdd"],
        None,
        2,
        ("distill.method.name", "'dkd'"),
    ),
    "a file that is not there": (
        ["--set", "prepare.source={name: csv, path: absent.csv, target: y}"],
        None,
        2,
        ("absent.csv", "missing"),
    ),
}


@pytest.mark.parametrize("what", SHELL)
def test_the_command_line_says_it_in_one_sentence(house: House, what: str):
    words, settings, code, said = SHELL[what]
    path, before = house.root / "params.yaml", house.ledger()
    kept = path.read_bytes()
    try:
        path.write_bytes(settings.encode() if settings is not None else kept)
        done = house.stillhouse("run", *words, "--json", code=code)
    finally:
        path.write_bytes(kept)
    assert [word for word in said if word not in done.err] == []
    assert list(json.loads(done.out)) == ["error"]
    assert "Traceback" not in done.said
    assert len(done.err.strip().splitlines()) == 1
    assert house.ledger() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stages:", "stages: [", "cannot read"),
        ("  validate:", "  validated:", "no stage 'validate'"),
    ],
    ids=["broken", "without a stage"],
)
def test_a_spoilt_dvc_yaml_is_refused_with_the_way_back(
    bench: House, old: str, new: str, said: str
):
    path = bench.root / "dvc.yaml"
    kept = path.read_text()
    bring(bench, source("good.csv"), "validate")
    path.write_text(kept.replace(old, new, 1))
    try:
        assert (
            refused(
                bench,
                source("good.csv"),
                "validate",
                SettingsError,
                "dvc.yaml",
                said,
                "git checkout",
            ).exit_code
            == 2
        )
    finally:
        path.write_text(kept)


def test_a_failure_inside_the_flow_is_told_once_and_the_next_run_finds_everything_whole(
    house: House, prefect: str
):
    house.json("run", code=0)
    before, ledger = house.hashes(), house.ledger()
    (house.root / "nan.py").write_text(NAN)
    refusals = {
        "teacher.gate": (
            3,
            ["--set", "teacher.gate.at_least=0.9999"],
            ("teacher.gate", "below 0.9999"),
        ),
        "nan": (
            1,
            ["--set", "plugins=[nan.py]", "--set", "distill.method={name: nan, position: 3}"],
            ("not finite", f"row {int(rows_of(house)[3])}."),
        ),
    }
    for code, words, said in refusals.values():
        done = house.stillhouse("run", *words, "--json", code=code)
        assert [word for word in said if word not in done.err] == [], done.err
        assert done.err.count("✕") == 1
        assert "Traceback" not in done.said
        assert list(json.loads(done.out)) == ["error"]
    assert house.ledger() == ledger
    told = house.json("run")
    assert (told["outcome"], house.hashes(), house.ledger()) == ("unchanged", before, ledger)


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, house: House):
    nowhere = House(tmp_path, house.home)
    done = nowhere.stillhouse("run", code=2)
    assert "params.yaml" in done.err
    assert "Traceback" not in done.said
    shutil.copy(house.root / "params.yaml", tmp_path / "params.yaml")
    done = nowhere.stillhouse("run", code=2)
    assert "dvc.yaml" in done.err
    assert "Traceback" not in done.said
