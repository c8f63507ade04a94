from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from teachers.test_onnx import model, wanted

from stillhouse.environment import place
from stillhouse.errors import SettingsError, SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.mlflow import Mlflow, _onnx_path
from stillhouse.teachers.teacher import Lesson
from stillhouse_flows.databases import seed

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
)  # mlflow 3.17 on SQLAlchemy 2.1
ONNX = "flavors:\n  onnx: {data: model.onnx}\n  python_function: {loader_module: mlflow.onnx}\n"
SKLEARN = "flavors:\n  sklearn: {pickled_model: model.pkl}\n  python_function: {}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose MLflow holds one model: version 1 a pickle, version 2 ONNX."""
    here = tmp_path_factory.mktemp("a workspace")
    seed(here, ("mlflow",))
    client = MlflowClient(place(here).tracking_uri, place(here).tracking_uri)
    client.create_registered_model("credit")
    for number, described in ((1, SKLEARN), (2, ONNX)):
        folder = here / "store" / str(number)
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(described)
        (folder / "model.pkl").write_bytes(b"\x80\x04.")
        (folder / "model.onnx").write_bytes(model().SerializeToString())
        client.create_model_version("credit", source=folder.as_uri())
    client.set_registered_model_alias("credit", "champion", "2")
    return here


@pytest.mark.parametrize("uri", ["models:/credit/2", "models:/credit@champion"])
def test_a_registered_onnx_model_answers(
    root: Path, lesson: Callable[[], Lesson], uri: str
) -> None:
    given = replace(lesson(), root=root)
    teacher = Mlflow(uri=uri)
    made = teacher.learn(given)
    torch.testing.assert_close(
        ask(teacher.recall(made, given.train.schema), given.val), wanted(given)
    )
    assert b'"version": 2' in made["mlflow.json"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/credit/1", "flavours are python_function, sklearn; of those only pickles"),
        ("models:/credit/9", "MLflow has no such model"),
        ("models:/credit@nobody", "MLflow has no such model"),
        ("models:/debit/1", "MLflow has no such model"),
    ],
)
def test_a_pickle_or_nothing_at_all_is_refused(
    root: Path, lesson: Callable[[], Lesson], uri: str, said: str
) -> None:
    given = replace(lesson(), root=root)
    with pytest.raises(SourceError, match=said):
        Mlflow(uri=uri).learn(given)
    Mlflow(uri="models:/credit/2").learn(given)


@pytest.mark.parametrize(
    "uri", ["credit/1", "models:/credit", "models:/credit/latest", "runs:/1/m"]
)
def test_a_uri_that_names_no_version_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="names no registered model"):
        Mlflow(uri=uri)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (b"flavors: {onnx: {data: ../../secret}}", "names the file '../../secret'"),
        (b"flavors: {onnx: {data: /etc/passwd}}", "names the file '/etc/passwd'"),
        (b"flavors: {onnx: {}}", "names the file"),
        (b"!!python/object/apply:os.system [ls]", "cannot be read"),
        (b"[]", "cannot be read"),
    ],
)
def test_a_hostile_description_leads_nowhere(described: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        _onnx_path(described, "models:/x/1")
    assert _onnx_path(ONNX.encode(), "models:/x/1") == "model.onnx"
