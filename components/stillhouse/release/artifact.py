"""A version's folder: a model that plain MLflow users can load, made of the very bytes that were
judged, and the manifest of all of it.
"""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stillhouse.edge.columns import Feeder
from stillhouse.release import manifest
from stillhouse.release.candidate import CHAMPION, VERDICT, Candidate
from stillhouse.workspace import Workspace, dump_json, dump_tensors, write_atomic

STAGE = ".stillhouse/work/release"
MODEL, ANSWER = "model.onnx", "answer.safetensors"
# The evidence lies beside the version, by hash: a version that is promoted again has several.
_ELSEWHERE = {VERDICT, CHAMPION, "student.onnx"}


def stage(workspace: Workspace, candidate: Candidate, model_id: str) -> tuple[Path, dict[str, str]]:
    """Write the folder that is uploaded, and return it with its manifest.

    `model.onnx` is the judged student.onnx byte for byte; MLflow would have written it anew.

    Args:
        workspace: The folder lies under its `.stillhouse/`; what a killed run left there is
            replaced.
        candidate: What goes in.
        model_id: MLflow's logged model that the folder will belong to.
    """
    name = f"{STAGE}/{model_id}"
    folder = workspace.root / name
    workspace.remove(STAGE)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _save(folder, candidate, model_id)
    write_atomic(folder / MODEL, candidate.files["student.onnx"])
    for file, data in sorted(candidate.files.items()):
        if file not in _ELSEWHERE:
            write_atomic(folder / file, data)
    write_atomic(
        folder / ANSWER, dump_tensors({"inputs": candidate.example, "logits": candidate.answer})
    )
    entries = manifest.manifest(folder)
    write_atomic(folder / manifest.NAME, dump_json(entries))
    return folder, entries


def evidence(candidate: Candidate) -> Mapping[str, bytes]:
    """Return the files that say why it was promoted, named by their hashes."""
    return {candidate.evidence: candidate.files[VERDICT], candidate.over: candidate.files[CHAMPION]}


def _save(folder: Path, candidate: Candidate, model_id: str) -> None:
    """Let MLflow write its own part: MLmodel with signature and input example, and the
    requirements. No pickle is among it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # importing MLflow's model code warns about its own type hints
        import mlflow.onnx
        import mlflow.pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types import Schema, TensorSpec
    import numpy as np
    import onnx
    import pandas as pd

    graph = onnx.load_model_from_string(
        candidate.files["student.onnx"]
    )  # afresh: MLflow's saving may change the object in memory
    kind, shape = np.dtype("float32"), tuple(candidate.example.shape[1:])
    feed, outputs = Feeder(graph), graph.graph.output[0].name
    example: Any = feed(candidate.example.numpy())
    taken = [TensorSpec(kind, (-1, *shape), feed.names[0])]
    if feed.columns:  # pandas' numbers are float64, which MLflow casts; a text column takes text
        types = {name: str if v.dtype == object else "float64" for name, v in example.items()}
        taken = [TensorSpec(np.dtype(types[name]), (-1,), name) for name in feed.names]
        example = pd.DataFrame(example)
    signature = ModelSignature(
        inputs=Schema(taken),
        outputs=Schema([TensorSpec(kind, (-1, candidate.answer.shape[1]), outputs)]),
    )
    mlflow.onnx.save_model(
        graph,
        str(folder),
        mlflow_model=Model(model_id=model_id),
        signature=signature,
        input_example=example,
        pip_requirements=[
            f"{name}=={version(name)}" for name in ("mlflow", "numpy", "onnx", "onnxruntime")
        ],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
