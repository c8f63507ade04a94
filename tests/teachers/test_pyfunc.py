from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from mlflow import MlflowClient
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from teachers.test_onnx import model, wanted
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.environment import place
from stillhouse.errors import SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.persisted import own_names
from stillhouse.teachers.pyfunc import Pyfunc
from stillhouse.teachers.teacher import Lesson
from stillhouse_flows.databases import seed

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
)  # mlflow 3.17 on SQLAlchemy 2.1
SKOPS = "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.skops, serialization_format: skops}\n"
PICKLED = SKOPS.replace("skops", "cloudpickle").replace("model.cloudpickle", "model.pkl")
TORCH = (
    "flavors:\n  python_function: {loader_module: mlflow.pytorch}\n  pytorch: {model_data: data}\n"
)
CODE = "flavors:\n  python_function: {loader_module: mlflow.pyfunc.model, python_model: python_model.pkl}\n"
TREE = "sklearn.tree._tree.Tree"


class Store:
    """A workspace whose MLflow holds what is put into it."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, 0
        seed(root, ("mlflow",))
        self.client = MlflowClient(place(root).tracking_uri, place(root).tracking_uri)
        self.client.create_registered_model("credit")

    def put(self, described: str, **files: bytes) -> str:
        """Register a version; return its URI."""
        self.made += 1
        folder = self.root / "store" / str(self.made)
        (folder / "data").mkdir(parents=True)
        for name, data in {"MLmodel": described.encode(), **files}.items():
            (folder / name.replace("__", "/").replace("_", ".")).write_bytes(data)
        self.client.create_model_version("credit", source=folder.as_uri())
        return f"models:/credit/{self.made}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("a workspace"))


def answers(given: Lesson, **settings: Any) -> torch.Tensor:
    teacher = Pyfunc(**settings)
    return ask(teacher.recall(teacher.learn(given), given.train.schema), given.val)


def test_a_scikit_learn_model_of_skops_answers_as_it_does_itself(
    store: Store, lesson: Callable[[], Lesson]
) -> None:
    given = replace(lesson(), root=store.root)
    flat = given.train.inputs.flatten(1).double().numpy()
    line = make_pipeline(StandardScaler(), LogisticRegression()).fit(flat, given.train.targets)
    uri = store.put(SKOPS, model_skops=skops.io.dumps(line))
    said = line.predict_proba(given.val.inputs.flatten(1).double().numpy())
    found = answers(given, uri=uri).double().softmax(dim=1)
    torch.testing.assert_close(found, torch.tensor(said), atol=1e-6, rtol=0)


def test_an_exported_torch_model_and_an_onnx_file_answer(
    store: Store, lesson: Callable[[], Lesson]
) -> None:
    given = replace(lesson(), root=store.root)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    program = torch.export.export(
        net, (given.val.inputs[:2],), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    torch.export.save(program, store.root / "model.pt2")
    uri = store.put(TORCH, data__model_pt2=(store.root / "model.pt2").read_bytes())
    with torch.no_grad():
        torch.testing.assert_close(answers(given, uri=uri), net(given.val.inputs))
    both = store.put(TORCH + "  onnx: {data: model.onnx}\n", model_onnx=model().SerializeToString())
    torch.testing.assert_close(answers(given, uri=both), wanted(given))


@pytest.mark.parametrize(
    ("described", "files", "said"),
    [
        (PICKLED, {"model_pkl": b"\x80\x04."}, "scikit-learn model was stored as cloudpickle"),
        (TORCH, {"data__model_pth": b"\x80\x04."}, "torch model was stored as model.pth"),
        (CODE, {"python_model_pkl": b"\x80\x04."}, "python_function: each is a pickle or code"),
        (SKOPS, {"model_skops": b"\x80\x04."}, "no skops archive but a pickle"),
        (SKOPS, {"model_skops": b"PK\x03\x04oops"}, "skops archive cannot be read"),
        (SKOPS.replace("model.skops", "../x"), {}, r"names the file '\.\./x'"),
    ],
)
def test_what_would_have_to_be_unpickled_is_refused_by_name(
    store: Store, lesson: Callable[[], Lesson], described: str, files: dict[str, bytes], said: str
) -> None:
    given = replace(lesson(), root=store.root)
    with pytest.raises(SourceError, match=said):
        answers(given, uri=store.put(described, **files))


def test_a_type_that_nobody_reviewed_is_built_only_where_the_user_trusts_it(
    store: Store, lesson: Callable[[], Lesson]
) -> None:
    given = replace(lesson(), root=store.root)
    flat = given.train.inputs.flatten(1).double().numpy()
    forest = RandomForestClassifier(3, random_state=0).fit(flat, given.train.targets)
    described = SKOPS.replace("format: skops}", f"format: skops, skops_trusted_types: [{TREE}]}}")
    uri = store.put(described, model_skops=skops.io.dumps(forest))
    with pytest.raises(SourceError, match=f"harmless: {TREE}"):
        answers(given, uri=uri)
    assert answers(given, uri=uri, trusted=(TREE,)).shape == (100, 10)


def test_a_model_that_tells_no_probabilities_is_refused_unless_its_decisions_will_do(
    store: Store, lesson: Callable[[], Lesson]
) -> None:
    given = replace(lesson(), root=store.root)
    flat = given.train.inputs.flatten(1).double().numpy()
    ridge = RidgeClassifier().fit(flat, given.train.targets)
    uri = store.put(SKOPS, model_skops=skops.io.dumps(ridge))
    with pytest.raises(SourceError, match="RidgeClassifier has no predict_proba"):
        answers(given, uri=uri)
    decided = answers(given, uri=uri, output="class").argmax(dim=1)
    flat = given.val.inputs.flatten(1).double().numpy()
    assert decided.tolist() == ridge.predict(flat).tolist()


def table() -> Dataset:
    schema = Schema(
        "table",
        (2,),
        ("no", "yes"),
        (Feature("age"), Feature("ward", "category", categories=("a", "b"), missing=True)),
    )
    draw = torch.Generator().manual_seed(0)
    inputs = torch.stack(
        [torch.rand(60, generator=draw) * 80, (torch.rand(60, generator=draw) < 0.5).float()], 1
    )
    targets = ((inputs[:, 0] > 40) ^ (inputs[:, 1] == 1)).long()
    return Dataset(inputs, targets, schema, torch.arange(60))


def test_a_pipeline_gets_its_columns_by_name_with_categories_as_words(
    store: Store, lesson: Callable[[], Lesson]
) -> None:
    rows = table()
    words = np.array(["a", "b"], dtype=object)[rows.inputs[:, 1].long().numpy()]
    frame = pd.DataFrame({"ward": words, "age": rows.inputs[:, 0].double().numpy()})
    pipe = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["ward"]), (StandardScaler(), ["age"])),
        LogisticRegression(),
    ).fit(frame, np.array(["no", "yes"])[rows.targets.numpy()])
    given = replace(lesson(), root=store.root, train=rows, val=rows)
    uri = store.put(SKOPS, model_skops=skops.io.dumps(pipe))
    found = answers(given, uri=uri, trusted=("numpy.dtype",)).double().softmax(dim=1)
    torch.testing.assert_close(found, torch.tensor(pipe.predict_proba(frame)), atol=1e-6, rtol=0)
    other = replace(rows.schema, features=(Feature("years"), rows.schema.features[1]))
    with pytest.raises(SourceError, match="a column 'age', which the data do not have"):
        answers(
            replace(given, train=replace(rows, schema=other), val=replace(rows, schema=other)),
            uri=uri,
            trusted=("numpy.dtype",),
        )


def test_classes_are_matched_by_the_models_own_names_in_whatever_order() -> None:
    schema = table().schema
    assert own_names(np.array(["yes", "no"]), schema) == ("yes", "no")
    assert own_names(np.array([0, 1]), schema) == ()  # counted: the data's order
    digits = replace(schema, classes=("1", "0"))
    assert own_names(np.array([0.0, 1.0]), digits) == ("0", "1")
