"""A small house to release from: students as tiny ONNX files, and one whole release that a test can
kill anywhere.

Processes are forked from a server that has imported everything, so that a kill costs a tenth of a
second."""

import json
import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from stillhouse import failpoints
from stillhouse.data.schema import Feature, Schema
from stillhouse.environment import Place
from stillhouse.release.candidate import Candidate
from stillhouse.release.promote import Promotion, promote, rollback
from stillhouse.release.register import register
from stillhouse.release.registry import Registry
from stillhouse.tracking import Tracker
from stillhouse.workspace import Workspace, dump_json, dump_tensors

HEAVY = [
    "mlflow.artifacts",
    "mlflow.onnx",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
]
SCHEMA = Schema("table", (3,), ("a", "b"), tuple(Feature(n) for n in "xyz"))


def place(root: Path) -> Place:
    return Place(
        root,
        f"sqlite:///{root / '.stillhouse' / 'mlflow.db'}",
        root / ".stillhouse" / "mlartifacts",
        None,
        None,
        1,
    )


def linear(seed: int) -> tuple[bytes, torch.Tensor, torch.Tensor]:
    """Return an ONNX file of a linear model, one row and its logits."""
    weight = np.random.default_rng(seed).normal(size=(3, 2)).astype(np.float32)
    node = helper.make_node("MatMul", ["inputs", "w"], ["logits"])
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", d])
        for n, d in (("inputs", 3), ("logits", 2))
    ]
    graph = helper.make_graph(
        [node], "student", values[:1], values[1:], [numpy_helper.from_array(weight, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    row = torch.tensor([[1.0, 2.0, 3.0]])
    return model.SerializeToString(), row, row @ torch.from_numpy(weight)


def student(
    seed: int, *, champion: bytes = b"null\n", answer: torch.Tensor | None = None
) -> Candidate:
    data, row, logits = linear(seed)
    files = {
        "student.onnx": data,
        "student.int8.onnx": b"",
        "student.safetensors": dump_tensors({"w": torch.full((2,), float(seed))}),
        "schema.json": dump_json(SCHEMA.as_dict()),
        "receipt.json": dump_json({"seed": seed}),
        "receipt.html": b"<p>receipt</p>",
        "card.md": b"# card\n",
        "verdict.json": dump_json(
            {
                "verdict": "promote",
                "seed": seed,
                "champion": json.loads(champion),
                "why": f"student {seed} passed every rule",
            }
        ),
        "champion.json": champion,
    }
    return Candidate(files, row, logits if answer is None else answer)


def enroll(root: Path, model: str, candidate: Candidate) -> int:
    """Register a student and return its version."""
    tracker = Tracker.open(place(root), Workspace(root), model, f"key-{candidate.fingerprint[:8]}")
    done = register(
        Registry.open(place(root), model),
        Workspace(root),
        candidate,
        experiment=tracker.experiment,
        run_id=tracker.run_id,
    )
    tracker.finish()
    return done.version.number


def release(root: Path, model: str, candidate: Candidate, head: int = 0) -> Promotion:
    """Register and promote a student over a head."""
    version = enroll(root, model, candidate)
    return promote(
        Registry.open(place(root), model),
        version,
        head,
        evidence=candidate.evidence,
        over=candidate.over,
    )


# --- in processes of their own ------------------------------------------------------------------


def whole(root: str, model: str, seed: int, head: int, points: str) -> None:
    failpoints.arm(points)
    release(Path(root), model, student(seed), head)


def promote_only(
    root: str, model: str, version: int, head: int, at: float, points: str, out: object
) -> None:
    import time

    registry = Registry.open(place(Path(root)), model)
    registry.versions()
    time.sleep(max(0.0, at - time.time()))
    failpoints.arm(points)
    try:
        done = promote(registry, version, head, evidence=f"{version:064x}")
        out.put(("ok", done.version, done.head))  # type: ignore[attr-defined]
    except Exception as error:
        out.put((type(error).__name__, version, 0))  # type: ignore[attr-defined]


def roll_back(root: str, model: str, head: int, points: str) -> None:
    failpoints.arm(points)
    rollback(Registry.open(place(Path(root)), model), head)


def forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["release.house", *HEAVY])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(
        Path(__file__).parents[1]
    )  # 3.11's server does not hand sys.path on
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def ended(target: object, *arguments: object) -> int:
    """Run a function in a process of its own and return how it ended; −9 is killed."""
    process = forks().Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    process.join(60)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode
