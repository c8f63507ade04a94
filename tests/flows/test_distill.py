import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from flows.intake import files
from safetensors.torch import save_file
from torch import nn

from stillhouse import plugins
from stillhouse.errors import SourceError, UsageError
from stillhouse.pipeline import Project
from stillhouse_flows.distill import Wish, begin, planned, shorten

GASES = ("acetone", "ethanol", "toluene")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environ, place, mask = dict(os.environ), tempfile.tempdir, os.umask(0o022)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = place
    os.umask(mask)
    plugins.use([], tmp_path)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """What some big model said of every row of the gas sensors' file."""
    files.gas(tmp_path)
    draw = np.random.default_rng(0)
    path = tmp_path / "answers.npz"
    np.savez(path, rows=np.arange(400), probabilities=draw.dirichlet(np.ones(3), 400))
    return path


def wish(**changes: object) -> Wish:
    return replace(Wish("answers.npz", Path("gas.csv"), "mlp", "2m"), **changes)  # type: ignore[arg-type]


@pytest.mark.usefixtures("answers")
def test_a_workspace_of_its_own_has_settings_that_are_valid_and_fit_the_budget(tmp_path: Path):
    asked = wish()
    made = begin(asked)
    assert made is not None
    root = tmp_path / "distilled" / "answers-mlp"
    project = Project.open(root)
    assert project.model == "answers-mlp"
    assert project.params["teacher"]["name"] == "predictions"
    assert project.params["distill"]["student"] == {"name": "mlp"}
    assert project.params["tune"]["trials"] == made.trials
    assert project.limit == pytest.approx(120, abs=0.1)
    assert (root / "dvc.yaml").is_file()
    assert "predictions teaches mlp" in planned(made, asked)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answers.npz", "distilled", "gas.csv"]


@pytest.mark.usefixtures("answers")
def test_the_same_command_goes_on_and_another_one_is_refused(tmp_path: Path):
    begin(wish(out=Path("here")))
    text = (tmp_path / "here" / "params.yaml").read_text()
    assert begin(wish(out=Path("here"))) is None
    with pytest.raises(UsageError, match="another distillation lies there already"):
        begin(wish(out=Path("here"), student="{name: mlp, width: 8}"))
    assert (tmp_path / "here" / "params.yaml").read_text() == text
    assert begin(wish(out=Path("here"), student="{name: mlp, width: 8}", force=True)) is not None
    assert Project.open(tmp_path / "here").params["distill"]["student"]["width"] == 8


def test_what_is_said_of_the_teacher_is_written_down_and_the_rest_lasts_a_run(answers: Path):
    sets = ("teacher.classes=[toluene, ethanol, acetone]", "distill.seeds=2")
    asked = wish(sets=sets, out=Path("here"))
    begin(asked)
    held = Project.open(Path("here")).params
    assert held["teacher"]["classes"] == ["toluene", "ethanol", "acetone"]
    assert held["distill"]["seeds"] == 3
    assert asked.parted()[1] == ["distill.seeds=2"]


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"sets": ("teacher.gate=null",)}, None),
        ({"sets": ("teacher.gate.at_least=0.2",)}, {"metric": "val/accuracy", "at_least": 0.2}),
        ({"teacher": "{name: predictions, path: answers.npz, gate: null}"}, None),
    ],
)
def test_the_teachers_gate_is_a_setting_as_well(changes: dict[str, object], gate: object):
    begin(wish(**changes, out=Path("here")))
    held = Project.open(Path("here")).params["teacher"]
    assert held["gate"] == gate
    assert held["name"] == "predictions"


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"teacher": "answer.npz"}, UsageError, "no teacher 'answer.npz'"),
        ({"data": Path("no.csv")}, SourceError, "no file or folder 'no.csv'"),
        ({"student": "mpl"}, UsageError, "no student 'mpl'. Did you mean 'mlp'"),
        ({"budget": "soon"}, UsageError, "'soon' is no time"),
        ({"budget": "10s"}, UsageError, "10 s are too short"),
        ({"teacher": "models:/credit@champion"}, SourceError, "no MLflow here"),
        ({"sets": ("teacher.clases=[a]",)}, UsageError, "unknown setting 'clases'"),
        ({"sets": ("distill.method.name=kdd",)}, UsageError, "no plugin 'kdd' among the methods"),
        ({"sets": ("tune.trails=3",)}, UsageError, "Did you mean 'trials'"),
        ({"sets": ("teacher.gate=0.5",)}, UsageError, "a gate is a mapping, not 0.5"),
    ],
)
def test_what_cannot_be_meant_leaves_no_settings_behind(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], said: str
):
    with pytest.raises(error, match=said):
        begin(wish(**changes, out=Path("here")))
    assert not (tmp_path / "here" / "params.yaml").exists()
    begin(wish(out=Path("here")))
    assert (tmp_path / "here" / "params.yaml").is_file()


@pytest.mark.usefixtures("answers")
def test_a_file_is_no_workspace(tmp_path: Path):
    (tmp_path / "here").write_text("mine")
    with pytest.raises(UsageError, match="--out, here: it is a file"):
        begin(wish(out=Path("here")))
    assert (tmp_path / "here").read_text() == "mine"


def test_answers_that_miss_a_row_are_refused_before_anything_is_written(
    answers: Path, tmp_path: Path
):
    np.savez(answers, rows=np.arange(10), probabilities=np.full((10, 3), 1 / 3))
    with pytest.raises(SourceError, match="there is no answer for"):
        begin(wish(out=Path("here")))
    assert not (tmp_path / "here" / "params.yaml").exists()


@pytest.mark.parametrize(
    ("teacher", "name"),
    [
        ("models:/credit@champion", "credit-mlp"),
        ("models:/credit risk/3", "credit-risk-mlp"),
        ("https://a.example/predict?key=1", "predict-mlp"),
        ("http://127.0.0.1:8765/", "127-0-0-1-mlp"),
        ("https://models.example.org", "models-example-org-mlp"),
        ("some/big.onnx", "big-mlp"),
        ("{name: sklearn}", "sklearn-mlp"),
    ],
)
def test_the_student_is_named_after_its_teacher(teacher: str, name: str):
    assert wish(teacher=teacher).model == name


@pytest.mark.usefixtures("answers")
def test_what_the_budget_pays_for_is_written_down_and_nothing_else_changes(tmp_path: Path):
    made = begin(wish(out=Path("here")))
    assert made is not None
    path = tmp_path / "here" / "params.yaml"
    before = path.read_text()
    shorten(path, 2)
    assert Project.open(tmp_path / "here").params["tune"]["trials"] == 2
    assert path.read_text() == before.replace(f"trials: {made.trials}", "trials: 2")
    path.write_text(before.replace("tune: {", "tune: { "))
    with pytest.raises(UsageError, match="not as it was written"):
        shorten(path, 2)


CREDIT = """
import mlflow, mlflow.sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_tracking_uri("sqlite:///mlflow.db")
x, y = load_breast_cancer(return_X_y=True, as_frame=True)
line = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:300], y[:300])
mlflow.sklearn.log_model(line, name="m", registered_model_name="credit")
mlflow.MlflowClient().set_registered_model_alias("credit", "champion", "1")
x.assign(outcome=y).to_parquet("rows.parquet")
"""


@pytest.mark.stories
def test_one_command_makes_a_student_with_receipt_and_onnx_of_a_registered_model(tmp_path: Path):
    subprocess.run([sys.executable, "-c", CREDIT], check=True, capture_output=True)
    command = "import sys; from stillhouse_flows.cli import main; main(sys.argv[1:])"
    words = shlex.split((ROOT / "docs/examples/guide/distill.sh").read_text())[1:]

    def run() -> tuple[int, dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-c", command, *words, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr
        return done.returncode, json.loads(done.stdout)

    code, told = run()
    assert Path(str(told["receipt"])).is_file()
    assert Path(str(told["student"])).is_file()
    assert Path(str(told["workspace"])) == Path("distilled/credit-mlp")
    assert {step["state"] for step in told["steps"]} == {"ran"}  # type: ignore[attr-defined]
    again, told = run()
    assert again == code
    assert {step["state"] for step in told["steps"]} == {"unchanged"}  # type: ignore[attr-defined]


def nearest_centre(path: Path) -> nn.Linear:
    """A torch net that answers the nearest class's centre of a table's sensors."""
    cells = np.loadtxt(path, delimiter=",", skiprows=1, dtype=str)
    rows = torch.tensor(cells[:, 2:].astype(np.float32))
    centres = torch.stack([rows[torch.tensor(cells[:, 1] == gas)].mean(0) for gas in GASES])
    net = nn.Linear(rows.shape[1], len(GASES))
    with torch.no_grad():
        net.weight.copy_(2 * centres)
        net.bias.copy_(-centres.square().sum(1))
    return net.eval()


MODULE = """
from pathlib import Path
from safetensors.torch import load_file
from torch import nn

def load():
    held = load_file(Path(__file__).parent / "centres.safetensors")
    net = nn.Linear(held["weight"].shape[1], 3)
    net.load_state_dict(held)
    return net
"""


def as_pt2(net: nn.Linear) -> str:
    rows = torch.zeros(2, net.in_features)
    sizes = ({0: torch.export.Dim("rows")},)
    torch.export.save(torch.export.export(net, (rows,), dynamic_shapes=sizes), "centres.pt2")
    return "centres.pt2"


def as_module(net: nn.Linear) -> str:
    Path("my_centres.py").write_text(MODULE)
    Path("here").mkdir()
    save_file(net.state_dict(), "here/centres.safetensors")  # the module is copied there
    return "module:my_centres:load"


@pytest.mark.stories
@pytest.mark.parametrize("bring", [as_pt2, as_module])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_torch_teachers_of_ones_own_teach_from_either_kind_of_table(
    tmp_path: Path, bring: Callable[[nn.Linear], str], ending: str
):
    files.gas(tmp_path)
    teacher, data = bring(nearest_centre(Path("gas.csv"))), f"gas{ending}"
    if ending == ".parquet":
        pd.read_csv("gas.csv").to_parquet(data)
    command = "import sys; from stillhouse_flows.cli import main; main(sys.argv[1:])"
    words = ["distill", teacher, "--data", data, "--out", "here", "--budget", "5m", "--json"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", command, *words, *more],
            capture_output=True,
            text=True,
            check=False,
        )

    wrong = run("--set", "teacher.classes=[ethanol, acetone]")
    assert wrong.returncode == 2
    assert "teacher.classes" in wrong.stderr
    done = run()
    assert done.returncode in (0, 3), done.stderr
    assert Path(str(json.loads(done.stdout)["student"])).is_file()
    told = json.loads(Path("here/artifacts/report/receipt.json").read_text())
    assert told["teacher"]["test_accuracy"][1] > 0.9


@pytest.mark.stories
def test_a_search_that_does_not_fit_is_cut_written_down_and_ends_with_a_student(
    answers: Path, tmp_path: Path
):
    told = [line.split(",")[1] for line in (tmp_path / "gas.csv").read_text().splitlines()[1:]]
    right = np.array(told)[:, None] == np.array(["acetone", "ethanol", "toluene"])
    np.savez(answers, rows=np.arange(400), probabilities=np.where(right, 0.9, 0.05))
    begin(wish(out=Path("here"), budget="4m"))
    path = tmp_path / "here" / "params.yaml"
    path.write_text(re.sub(r"tune: {trials: \d+", "tune: {trials: 5000", path.read_text()))
    words = ["distill", "answers.npz", "--data", "gas.csv", "--student", "mlp", "--out", "here"]
    command = "import sys; from stillhouse_flows.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", command, *words, "--budget", "4m", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    assert Path(str(json.loads(done.stdout)["student"])).is_file()
    assert 1 <= Project.open(tmp_path / "here").params["tune"]["trials"] < 5000
