from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.data import prepared
from stillhouse.data.sources.digits import Digits
from stillhouse.data.splits import Split
from stillhouse.environment import place
from stillhouse.errors import SettingsError
from stillhouse.pipeline.body import run_body
from stillhouse.steps import prepare
from stillhouse.steps.query import informed
from stillhouse.steps.step import Job, silent
from stillhouse.workspace import StepFiles, Workspace


def run(root: Path, **changes: Any) -> StepFiles:
    section = {
        "source": {"name": "digits"},
        "split": {"by": "row", "val": 0.1, "test": 0.3},
        "labelled": 50,
        "unlabelled": 60,
        **changes,
    }
    run_body(
        prepare.step,
        Workspace(root),
        params={"prepare": section},
        place=place(root),
        progress=silent,
    )
    return StepFiles(Workspace(root), "report")


def seen(files: StepFiles) -> tuple[set[int], set[int]]:
    picked = prepared.picked(files)
    known = picked.targets >= 0
    return set(picked.rows[known].tolist()), set(picked.rows[~known].tolist())


def test_informative_rows_are_as_many_and_others_and_the_labelled_stay(tmp_path: Path) -> None:
    even, informed = (seen(run(tmp_path / query, query=query)) for query in ("even", "informative"))
    assert informed[0] == even[0]
    assert len(informed[1]) == len(even[1]) == 60
    assert len(informed[1] & even[1]) < 30
    assert seen(run(tmp_path / "again", query="informative")) == informed


def test_no_withheld_target_is_looked_at(tmp_path: Path) -> None:
    settings = {"source": {"name": "digits"}, "split": {"by": "row", "val": 0.1, "test": 0.3}}
    job = Job(StepFiles(Workspace(tmp_path), "prepare"), {"prepare": settings}, place(tmp_path))
    ready = prepare.divide(
        Digits().read(tmp_path), Split("row", 0.1, 0.3), labelled=50, unlabelled=60
    )
    withheld = torch.full_like(ready.train.targets, -1)
    withheld[ready.pick.labelled] = ready.train.targets[ready.pick.labelled]
    blind = replace(ready, train=replace(ready.train, targets=withheld))
    assert torch.equal(informed(blind, job).pick.unlabelled, informed(ready, job).pick.unlabelled)


def test_more_rows_than_there_are_is_no_error(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="all are taken"):
        files = run(tmp_path, query="informative", unlabelled=100_000)
    train = prepared.load(files, "train")
    assert sum(map(len, seen(files))) == len(train)


def test_without_a_label_to_begin_with_nothing_is_informative(tmp_path: Path) -> None:
    rows = "\n".join(f"{at / 7:.3f},{at % 5},{3 * at}" for at in range(90))
    (tmp_path / "q.csv").write_text(f"x,z,y\n{rows}\n")
    source = {"name": "csv", "path": "q.csv", "target": "y", "task": "regression"}
    with pytest.raises(SettingsError, match="and this is a quantity"):
        run(tmp_path, source=source, query="informative", labelled=None, unlabelled=0)
    run(tmp_path, source=source, labelled=None, unlabelled=0)
