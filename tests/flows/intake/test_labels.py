"""A file of several labels a row, from a look at it to a params.yaml that holds."""

import numpy as np
import pytest
import yaml

from stillhouse.errors import UsageError
from stillhouse.pipeline import settings
from stillhouse.steps import all as steps
from stillhouse_flows.describe import describe
from stillhouse_flows.intake import look
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.params_text import params_text
from stillhouse_flows.intake.plan import plan, read


def news(root, rows=400):
    draw = np.random.default_rng(0)
    counts = draw.normal(0, 1, (rows, 3))
    told = counts + draw.normal(0, 0.7, (rows, 3)) > 0.4
    lines = ["a,b,c,sport,music,war"]
    for at in range(rows):
        cells = ["1" if own else "0" for own in told[at]]
        cells[2] = "" if at % 9 == 0 else cells[2]
        lines.append(",".join([*(f"{x:.3f}" for x in counts[at]), *cells]))
    path = root / "news.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_with_commas_between_are_several_labels_a_row(tmp_path):
    path, hints = news(tmp_path), Hints(target="sport, music,war")
    guess, dataset = read(look.guess(path, tmp_path, hints), tmp_path)
    assert guess.source["target"] == ["sport", "music", "war"]
    assert guess.source["task"] == "multi_label"
    assert [f.name for f in dataset.schema.features] == ["a", "b", "c"]
    made = plan(dataset, guess)
    assert made.metric == "map"
    assert made.baseline.found
    assert 0.3 < made.baseline.chance < made.student_bound < made.baseline.reached
    written = params_text(guess, made, kind="table", model="news", plugins=[])
    told = yaml.safe_load(written)
    assert told["distill"]["method"] == {"name": "multi_label"}
    assert "test/exact_match" in {rule["metric"] for rule in told["gate"]["rules"]}
    settings.check(told, steps.load(), tmp_path)
    found = describe(path, tmp_path, hints)
    assert [label["name"] for label in found["labels"]] == ["sport", "music", "war"]
    assert found["labels"][0]["rows"] == int((dataset.targets[:, 0] == 1).sum())
    assert found["classes"] == []
    with pytest.raises(UsageError, match=r"no column 'musik'.*music"):
        look.guess(path, tmp_path, Hints(target="sport,musik"))


def test_a_matrix_of_labels_is_seen_in_an_npz_file(tmp_path):
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(60, 4)).astype(np.float32)
    path = tmp_path / "rows.npz"
    np.savez(path, inputs=inputs, targets=(inputs[:, :2] > 0).astype(int))
    found = look.guess(path, tmp_path, Hints())
    assert found.source["task"] == "multi_label"
    assert read(found, tmp_path)[1].schema.labels == ("label 0", "label 1")
    np.savez(path, inputs=inputs, targets=(inputs[:, 0] > 0).astype(int))
    assert "task" not in look.guess(path, tmp_path, Hints()).source
