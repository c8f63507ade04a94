"""Plain MLflow users ask a table's model with a data frame."""

import numpy as np
import pandas as pd
import pytest
import torch
from edge.small import SCHEMAS, classifier, rows

from stillhouse.edge.exporters.onnx import Onnx
from stillhouse.edge.session import Session
from stillhouse.release import artifact
from stillhouse.release.candidate import Candidate

pytestmark = pytest.mark.filterwarnings("ignore")  # those of MLflow and of its pandas


def test_a_data_frame_with_columns_in_any_order_is_answered(tmp_path):
    import mlflow.pyfunc

    data, row = Onnx().export(classifier("table"), SCHEMAS["table"]), rows("table")[2:3]
    candidate = Candidate({"student.onnx": data}, row, Session(data).logits(row))
    artifact._save(tmp_path / "model", candidate, "m-1")
    frame = pd.DataFrame({"sex": ["m", None], "age": [40.0, np.nan], "lab": [1.5, 2.5]})
    found = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(frame)["logits"]
    nan = float("nan")
    with torch.no_grad():
        wanted = classifier("table")(torch.tensor([[40, 1.5, 1], [nan, 2.5, nan]]))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
