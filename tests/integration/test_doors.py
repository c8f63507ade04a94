"""Whole runs through doors that the default run leaves shut: a teacher behind HTTP, augmented views
of tables and series, data that drift under a champion, and `init` from the wheel alone.
"""

import contextlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from flows.intake import files
from integration.house import REPOSITORY, House, states
from integration.zygote import BIN
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.stories

RULES = "gate.rules=[{metric: test/accuracy, at_least: 0.5}, {metric: drift/features, at_most: 0, gates: false}]"
LITTLE = (
    "tune.trials=1",
    "distill.seeds=2",
    "distill.epochs=20",
    "robustness.rows=40",
    "teacher.gate=null",
    RULES,
)


def sets(*more: str) -> list[str]:
    return [word for text in (*LITTLE, *more) for word in ("--set", text)]


def begun(place: Path, make: Callable[[Path], Path], *flags: str) -> House:
    """A project of somebody's own, by `init` alone."""
    house = House(place / "project", place / "home")
    for folder in (house.root, house.home):
        folder.mkdir()
    house.git("init", "-q")
    house.stillhouse("init", "--data", make(house.root), *flags)
    return house


class Endpoint(ThreadingHTTPServer):
    """A model of ours behind HTTP: it learned from the file, and counts who asks."""

    def __init__(self, table: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        names = table.read_text().splitlines()[0].split(",")
        cells = np.loadtxt(table, delimiter=",", skiprows=1, dtype=str)
        self.columns = names[2:]
        self.model = LogisticRegression(max_iter=500).fit(cells[:, 2:].astype(float), cells[:, 1])
        self.asked: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/answer"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += asked["rows"]
        table = [[row[name] for name in self.server.columns] for row in asked["inputs"]]
        said = {
            "rows": asked["rows"],
            "probabilities": self.server.model.predict_proba(table).tolist(),
            "classes": self.server.model.classes_.tolist(),
        }
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def served(table: Path) -> Iterator[Endpoint]:
    with Endpoint(table) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_teacher_behind_http_is_paid_once_and_what_it_cost_is_told(tmp_path: Path):
    house = begun(tmp_path, files.gas)
    with served(house.root / "gas.csv") as server:
        teacher = (
            f"teacher={{name: endpoint, url: '{server.url}', allow: ['127.0.0.1'], rate: 1000, "
            "usd_per_row: 0.01, cap_usd: 9}"
        )
        told = house.json("run", *sets(teacher))
        assert told["outcome"] == "promoted"
        rows = house.artifact("prepare/data.json")["rows"]
        once = rows["train"] + rows["val"] + rows["test"]
        assert once <= len(server.asked) <= once + 40  # and a few anew, to see whether it changed
        before = len(server.asked)
        again = house.json("run", *sets(teacher, "distill.method.temperature=3"), code=None)
        assert states(again)["distill"] == "ran"
        assert len(server.asked) <= before + 40
        assert house.artifact("teacher/teacher.json")["name"] == "endpoint"
        receipt = house.json("receipt")
        assert receipt["teacher"]["test_accuracy"][1] > 0.9
        poor = teacher.replace("cap_usd: 9", "cap_usd: 1").replace("{name", "{version: b, name")
        over = house.stillhouse("run", *sets(poor), code=3)
        assert "cost" in over.said
        assert "cap" in over.said


@pytest.mark.parametrize("make", [files.gas, files.watch], ids=["table", "series"])
def test_the_student_learns_from_augmented_views_of_tables_and_series(tmp_path: Path, make):
    house = begun(tmp_path, make)
    house.json("run", *sets("knowledge.views=3"), code=None)
    rows = house.artifact("prepare/data.json")["rows"]
    seen = rows["labelled"] + rows["unlabelled"]
    assert house.artifact("knowledge/metrics.json")["knowledge/rows"] == 3 * seen
    assert house.artifact("report/receipt.json")["settings"]["knowledge"]["views"] == 3


@pytest.mark.parametrize(
    ("make", "picked", "view", "method", "selector"),
    [
        (
            files.gas,
            (60, 80),
            "munge",
            "{name: combine, parts: [{name: kd}, {name: fitnet, layer: penultimate, weight: 0.1}]}",
            "{name: by_class, shares: {toluene: 0.5}}",
        ),
        (files.watch, (12, 10), "blend", "{name: kd}", "{name: class_trust, at_least: 0.5}"),
    ],
    ids=["table", "series"],
)
def test_synthetic_rows_chosen_questions_stored_features_and_selectors_go_together(
    tmp_path: Path,
    make: Callable[[Path], Path],
    picked: tuple[int, int],
    view: str,
    method: str,
    selector: str,
):
    house = begun(tmp_path, make)
    features = "[penultimate]" if "fitnet" in method else "[]"
    asked = sets(
        f"prepare.labelled={picked[0]}",
        f"prepare.unlabelled={picked[1]}",
        "prepare.query=informative",
        "teacher={name: fit, architecture: {name: mlp, width: 32, depth: 2}, gate: null}",
        f"knowledge={{views: 3, augment: [{{name: {view}}}], features: {features}}}",
        "distill.synthetic={float: [0.5, 2]}",
        f"distill.method={method}",
        f"distill.selector={selector}",
        "tune.trials=2",
    )
    house.json("run", *asked, code=None)
    rows = house.artifact("prepare/data.json")["rows"]
    assert (rows["labelled"], rows["unlabelled"]) == picked
    assert house.artifact("knowledge/metrics.json")["knowledge/rows"] == 3 * sum(picked)
    receipt = house.artifact("report/receipt.json")
    tried = receipt["evidence"]["trials"]["student"]["trials"]
    assert all(0.5 <= trial["params"]["synthetic"] <= 2 for trial in tried)
    passed = receipt["transfer"]
    assert passed["selector"]["name"] in selector
    assert 0 < passed["share"] < 1
    assert sum(each["rows"] for each in passed["by_class"]) == sum(picked)
    if "by_class" in selector:
        half = {each["class"]: each["share"] for each in passed["by_class"]}["toluene"]
        assert half == pytest.approx(0.5, abs=0.1)  # a changed row may be of another class


def test_data_that_drift_under_a_champion_are_told_by_feature(tmp_path: Path):
    house = begun(tmp_path, files.gas)
    table = house.root / "gas.csv"
    first = house.json("run", *sets("prepare.split.by=row"))
    assert (first["outcome"], first["version"]) == ("promoted", 1)
    assert house.artifact("gate/verdict.json")["drift"] is None
    head, *lines = table.read_text().splitlines()
    moved = [line.split(",") for line in lines]
    aged = [[*cells[:2], f"{float(cells[2]) + 9:.3f}", *cells[3:]] for cells in moved]
    table.write_text("\n".join([head, *[",".join(cells) for cells in aged]]))
    house.json("run", *sets("prepare.split.by=row"), code=None)
    told = house.artifact("gate/verdict.json")["drift"]
    assert told["against"] == "version 1"
    assert [one["name"] for one in told["features"] if one["drifted"]] == ["s0"]
    rules = house.json("receipt")["rules"]
    [watched] = [rule for rule in rules if rule["metric"] == "drift/features"]
    assert (watched["verdict"], watched["gates"]) == ("fail", False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our packages as a user installs them, far from the sources."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", REPOSITORY, "--no-deps", "-q", "-w", out]
    offline = ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, *offline], check=True, stdin=subprocess.DEVNULL)
    [path] = out.glob("*.whl")
    zipfile.ZipFile(path).extractall(out / "installed")
    return out / "installed"


@pytest.mark.parametrize("make", [files.signs, files.hospital, files.watch, files.price])
def test_from_the_wheel_init_and_run_end_in_a_receipt_without_an_edit(
    tmp_path: Path, wheel: Path, make: Callable[[Path], Path]
):
    house = House(tmp_path / "project", tmp_path / "home")
    for folder in (house.root, house.home):
        folder.mkdir()
    env = {"PYTHONPATH": str(wheel)}
    where = house.do(BIN / "python", "-c", "import stillhouse; print(stillhouse.__file__)", env=env)
    assert where.out.startswith(str(wheel))
    house.script("init", "--data", make(house.root), env=env)
    told = json.loads(house.script("run", "--json", env=env, code=None).out)
    assert told["outcome"] in ("promoted", "held", "rejected"), told
    assert (house.root / "artifacts/report/receipt.html").stat().st_size > 10_000
    assert set(states(told).values()) == {"ran"}
