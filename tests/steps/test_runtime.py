import json
from pathlib import Path

import pytest
import torch
from steps.test_knowledge import PARAMS, run
from torch import Tensor
from training.blobs import blobs, net

from stillhouse.architectures.build import build_classifier
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.data.sources.digits import Digits
from stillhouse.errors import SettingsError
from stillhouse.knowledge.store import reopen
from stillhouse.models.normalize import Normalize
from stillhouse.steps import knowledge, prepare, teacher
from stillhouse.steps.runtime import elsewhere
from stillhouse.teachers.fit import Trained
from stillhouse.teachers.teacher import oracle
from stillhouse.workspace import Workspace

ROWS = blobs(40)


def pictures() -> Dataset:
    return Digits().read(Path()).take(torch.arange(300))


@pytest.mark.parametrize("spec", [{"name": "convnet", "width": 4, "depth": 2}, {"name": "mlp"}])
def test_a_teacher_says_there_what_it_says_here_whatever_the_batch(spec: dict[str, object]):
    rows = pictures()
    model = build_classifier(
        spec, rows.schema, Normalize.fit(rows.inputs, rows.schema), 0, "teacher"
    )
    here = Trained(model.eval())
    there, told = elsewhere(here, rows)
    assert told["name"] == "onnxruntime"
    wanted = here.logits(rows.inputs, rows.rows)
    for size in (300, 7):
        found = there.logits(rows.inputs[:size], rows.rows[:size])
        torch.testing.assert_close(found, wanted[:size], rtol=1e-4, atol=1e-4)
    assert there.module is here.module


class Stubborn(Trained):
    """Answers otherwise than its module."""

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        return super().logits(inputs, rows) + torch.tensor([0.0, 0.0, 0.01])


def test_one_that_answers_otherwise_there_or_is_no_torch_model_is_refused():
    elsewhere(Trained(net(ROWS).eval()), ROWS)
    with pytest.raises(SettingsError, match=r"knowledge\.runtime.*a logit differs by 0\.0"):
        elsewhere(Stubborn(net(ROWS).eval()), ROWS)
    with pytest.raises(SettingsError, match="no torch model that could be moved"):
        elsewhere(oracle(lambda inputs, rows: inputs[:, :3]), ROWS)


def test_the_store_says_where_its_answers_were_worked_out(tmp_path: Path):
    workspace = Workspace(tmp_path)
    files = run(workspace, prepare.step, teacher.step, knowledge.step)
    store = tmp_path / "artifacts/knowledge/store/manifest.json"
    assert "runtime" not in json.loads(store.read_text())
    rows = prepared.picked(files)
    wanted = reopen(files, rows).logits()
    files = run(
        workspace, knowledge.step, params={**PARAMS, "knowledge": {"views": 1, "runtime": "onnx"}}
    )
    assert json.loads(store.read_text())["runtime"]["name"] == "onnxruntime"
    torch.testing.assert_close(reopen(files, rows).logits(), wanted, rtol=2e-3, atol=2e-3)
