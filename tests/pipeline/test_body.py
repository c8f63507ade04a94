"""A step that fails leaves what was there, and says what failed."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from release import house

from stillhouse.pipeline.body import run_body
from stillhouse.steps.step import Job, Step, silent
from stillhouse.workspace import Workspace


def run(root: Path, ask: str) -> None:
    def body(job: Job) -> dict[str, float]:
        job.files.write_json("prepare/data.json", {"new": True})
        if ask == "memory":
            torch.empty(10**17)
        if ask == "convolution":  # as oneDNN said in a convolution, where memory was short
            raise RuntimeError("could not create a primitive")
        if ask == "trouble":
            raise RuntimeError("the shapes do not fit")
        return {"data/rows": float(torch.rand(()) + np.random.rand() + random.random())}

    step = Step("prepare", body, (), ("data.json",), ("prepare",), lambda params: None)
    run_body(step, Workspace(root), params={}, place=house.place(root), progress=silent)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        ("memory", MemoryError, "allocate memory"),
        ("convolution", MemoryError, "create a primitive"),
        ("trouble", RuntimeError, "shapes do not fit"),
    ],
)
def test_a_step_without_memory_ends_as_that_and_its_old_files_are_whole(
    ask: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    run(tmp_path, "nothing")
    before = (tmp_path / "artifacts/prepare/prepare.timing.json").read_bytes()
    with pytest.raises(error, match=words) as caught:
        run(tmp_path, ask)
    assert type(caught.value) is error
    assert (tmp_path / "artifacts/prepare/prepare.timing.json").read_bytes() == before


def test_what_a_step_draws_from_the_global_generators_does_not_depend_on_what_was_drawn_before(
    tmp_path: Path,
) -> None:
    def drawn() -> float:
        run(tmp_path, "nothing")
        metrics = json.loads((tmp_path / "artifacts/prepare/metrics.json").read_bytes())
        return float(metrics["data/rows"])

    first = drawn()
    torch.rand(3), np.random.rand(3), random.random()
    assert drawn() == first
