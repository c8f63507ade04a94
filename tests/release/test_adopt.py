import warnings
from pathlib import Path

import pytest
import torch
from release import house

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import DataError, Refused
from stillhouse.release.adopt import foreign, refuse_second
from stillhouse.release.check import bless
from stillhouse.release.memory import read
from stillhouse.release.promote import promote
from stillhouse.release.register import register
from stillhouse.release.registry import Registry
from stillhouse.tracking import Tracker
from stillhouse.workspace import Workspace

ROW = torch.tensor([[1.0, 2.0, 3.0]])


@pytest.fixture
def old(root: Path, model: str, registry: Registry) -> Registry:
    """A registry as somebody without Stillhouse has it: a model logged by MLflow, with an alias."""
    tracker = Tracker.open(house.place(root), Workspace(root), model, "theirs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing MLflow's model code warns about its own hints
        import mlflow.onnx
        import onnx

        folder = root / f"their {model}"
        mlflow.onnx.save_model(onnx.load_model_from_string(house.linear(9)[0]), str(folder))
    registry.mlflow.log_artifacts(tracker.run_id, str(folder), "model")
    source = f"{registry.mlflow.get_run(tracker.run_id).info.artifact_uri}/model"
    registry.create_version(source, tracker.run_id, {})
    registry.set_alias("champion", 1)
    return registry


def test_a_model_of_mlflow_s_own_is_stored_checked_and_the_first_champion(
    root: Path, model: str, old: Registry
) -> None:
    candidate = foreign(old, 1, house.SCHEMA, ROW)
    assert candidate.files["student.onnx"][:4]
    tracker = Tracker.open(house.place(root), Workspace(root), model, "adopt")
    ids = {"experiment": tracker.experiment, "run_id": tracker.run_id}
    for made in (True, False):
        done = register(old, Workspace(root), candidate, **ids)
        assert (done.version.number, done.made) == (2, made)
    assert bless(old, 2).max_error == 0
    evidence = {"evidence": candidate.evidence, "over": candidate.over}
    for appended in (True, False):
        assert promote(old, 2, 0, kind="adopt", **evidence).appended is appended
    state = read(old)
    assert (state.champion, state.last.link.kind, state.last.link.parent) == (2, "adopt", 0)  # type: ignore[union-attr]
    assert old.aliases() == {"champion": 2}
    with pytest.raises(Refused, match="already, version 2"):
        refuse_second(old, state.champion)


def test_what_is_no_onnx_or_does_not_fit_the_rows_is_not_taken_in(
    root: Path, model: str, old: Registry
) -> None:
    wide = Schema("table", (4,), ("a", "b"), tuple(Feature(n) for n in "wxyz"))
    with pytest.raises(DataError, match="does not answer a row of shape"):
        foreign(old, 1, wide, torch.ones(1, 4))
    three = Schema("table", (3,), ("a", "b", "c"), house.SCHEMA.features)
    with pytest.raises(DataError, match="the data has 3 classes"):
        foreign(old, 1, three, ROW)
    tracker = Tracker.open(house.place(root), Workspace(root), model, "theirs")
    old.mlflow.log_text(tracker.run_id, "flavors: {sklearn: {}}\n", "other/MLmodel")
    source = f"{old.mlflow.get_run(tracker.run_id).info.artifact_uri}/other"
    old.create_version(source, tracker.run_id, {})
    with pytest.raises(DataError, match="no ONNX model"):
        foreign(old, 2, house.SCHEMA, ROW)
    old.mlflow.log_text(tracker.run_id, 'flavors: {onnx: {data: "../secret"}}\n', "evil/MLmodel")
    old.create_version(source.replace("/other", "/evil"), tracker.run_id, {})
    with pytest.raises(DataError, match="secret"):
        foreign(old, 3, house.SCHEMA, ROW)
    assert foreign(old, 1, house.SCHEMA, ROW).answer.shape == (1, 2)
