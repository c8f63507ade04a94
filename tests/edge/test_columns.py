from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from edge.small import SCHEMAS, classifier, rows

from stillhouse.data.schema import Feature
from stillhouse.edge.columns import MOST, Feeder, by_name
from stillhouse.edge.session import Session
from stillhouse.errors import DataError
from stillhouse.models import onnx_file
from stillhouse.models.onnx_graph import Graph

TABLE = SCHEMAS["table"]


@pytest.fixture(scope="module")
def data(exported):
    return exported("table")


def ask(data: bytes, **columns: object) -> np.ndarray:
    """Plain ONNX Runtime, as a server would do it."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feed = {
        name: np.array(values, dtype=object if isinstance(values[0], str) else np.float32)
        for name, values in columns.items()
    }
    return session.run(None, feed)[0]


def model(inputs: list[list[float]]) -> np.ndarray:
    with torch.no_grad():
        return classifier("table")(torch.tensor(inputs)).numpy()


def test_columns_go_in_by_name_in_any_order_as_text_and_numbers(data):
    found = ask(data, sex=["m", "f"], lab=[1.5, 0.5], age=[40.0, 50.0])
    np.testing.assert_allclose(found, model([[40, 1.5, 1], [50, 0.5, 0]]), atol=1e-5)


def test_a_missing_and_an_unknown_category_are_a_missing_cell(data):
    nan = float("nan")
    found = ask(data, age=[40.0, 40.0, nan], lab=[1.5] * 3, sex=["", "x", "f"])
    np.testing.assert_allclose(
        found, model([[40, 1.5, nan], [40, 1.5, nan], [nan, 1.5, 0]]), atol=1e-5
    )


def test_rows_of_today_are_asked_by_the_names_of_their_categories_not_by_codes(data):
    sex = replace(TABLE.features[2], categories=("d", "f", "m"))
    today = replace(TABLE, features=(*TABLE.features[:2], sex))
    found = Session(data, schema=today).logits(torch.tensor([[40.0, 1.5, 2.0], [40.0, 1.5, 0.0]]))
    wanted = model([[40, 1.5, 1], [40, 1.5, float("nan")]])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def renamed(*names: str):
    features = tuple(replace(f, name=n) for f, n in zip(TABLE.features, names, strict=True))
    return replace(TABLE, features=features)


@pytest.mark.parametrize(
    "names",
    [
        ("inputs", "core/axis", "b c"),
        ("größe", "x-ray (mm)", "logits"),
        ("linear", "node_linear", "0"),
    ],
)
def test_no_column_name_collides_with_a_name_inside(names):
    from stillhouse.edge.exporters.onnx import Onnx

    schema = renamed(*names)
    made = Onnx().export(classifier("table"), schema)
    session = Session(made)
    assert session.inputs == list(names)
    np.testing.assert_allclose(
        session.logits(rows("table")[:5]).numpy(), model(rows("table")[:5].tolist()), atol=1e-5
    )
    assert (session.outputs == "logits") == ("logits" not in names)


def test_a_very_wide_table_goes_in_as_one_array_and_a_narrow_one_does_not():
    many = tuple(Feature(f"c{at}") for at in range(MOST + 1))
    assert not by_name(replace(TABLE, shape=(MOST + 1,), features=many))
    assert by_name(replace(TABLE, shape=(MOST,), features=many[:-1]))
    assert not by_name(SCHEMAS["image"])
    assert not by_name(renamed("a", "a", "b"))


def test_rows_of_another_width_are_refused(data):
    feed = Feeder(onnx_file.read(data, "x"))
    assert set(feed(np.zeros((2, 3), np.float32))) == {"age", "lab", "sex"}
    with pytest.raises(DataError, match="takes 3 columns"):
        feed(np.zeros((2, 4), np.float32))


def test_a_twin_takes_codes_where_the_model_takes_text_and_leads_gradients_to_the_numbers(data):
    inputs = rows("table", 40).clone().requires_grad_(True)
    told = Graph(onnx_file.read(data, "model"))(inputs)
    asked = Session(data).logits(inputs.detach())
    torch.testing.assert_close(told.detach(), asked, rtol=1e-4, atol=1e-4)
    [slope] = torch.autograd.grad(told[:, 0].sum(), inputs)
    assert (slope[:, 1] != 0).all(), "of lab, which is never missing"
