from pathlib import Path

import numpy as np
import pytest
import torch

from stillhouse.data.rows import read_rows
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SourceError

IMAGES = Schema("image", (1, 4, 4), ("a", "b"), (Feature("grey", low=0.0, high=1.0),))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.zeros((3, 1, 4, 4))}, "no array 'inputs' among images"),
        ({"inputs": np.full((3, 1, 4, 4), 255, np.uint8)}, r"row 0 lies in \[255, 255\].*by 255"),
        ({"inputs": np.zeros((3, 1, 5, 5))}, "the model takes"),
        ({"inputs": np.full((3, 1, 4, 4), np.nan)}, "row 0 has a missing or infinite value"),
    ],
)
def test_rows_that_the_model_did_not_learn_from_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=said):
        read_rows(tmp_path / "rows.npz", IMAGES)
    np.savez(tmp_path / "rows.npz", inputs=np.ones((3, 1, 4, 4)))
    assert tuple(read_rows(tmp_path / "rows.npz", IMAGES).inputs.shape) == (3, 1, 4, 4)


SCHEMA = Schema(
    "table",
    (3,),
    ("ill", "well"),
    (
        Feature("age", "integer"),
        Feature("sex", "category", categories=("f", "m")),
        Feature("ward", "category", categories=("a", "b"), missing=True),
    ),
)


def read(path, text: str):
    path = path / "rows.csv"
    path.write_text(text)
    return read_rows(path, SCHEMA)


def test_columns_stand_in_any_order_and_a_target_is_not_read(tmp_path):
    found = read(tmp_path, "ward,outcome,age,sex\nb,ill,41,m\na,,42,f\n")
    assert torch.equal(found.inputs, torch.tensor([[41.0, 1.0, 1.0], [42.0, 0.0, 0.0]]))
    assert found.refused == {}
    assert found.notes == ()
    assert torch.equal(read(tmp_path, "age,sex,ward\n41,m,b\n42,f,a\n").inputs, found.inputs)


def test_an_unknown_category_counts_as_missing_where_that_was_learned_and_is_told(tmp_path):
    found = read(tmp_path, "age,sex,ward\n41,m,z\n42,f,\n43,f,y\n")
    assert found.inputs[:, 2].isnan().all()
    assert found.refused == {}
    assert found.notes == (
        "column 'ward': 'z' (line 2) and 1 more cells were never seen in training, and count as "
        "missing.",
    )


def test_a_row_is_refused_and_the_others_are_not_where_missing_was_never_learned(tmp_path):
    found = read(tmp_path, "age,sex,ward\n41,x,a\n,f,a\n43,,b\n44,m,b\n")
    assert sorted(found.refused) == [0, 1, 2]
    assert found.refused[0] == "line 2: 'x' is no 'sex' that the model ever saw"
    assert found.refused[1].startswith("line 3: 'age' is missing")
    assert found.refused[2].startswith("line 4: 'sex' is missing")
    assert found.inputs[3].tolist() == [44.0, 1.0, 1.0]


def test_a_missing_column_and_a_text_among_numbers_are_refused_by_place(tmp_path):
    with pytest.raises(SourceError, match=r"no column 'ward'"):
        read(tmp_path, "age,sex,wards\n41,m,a\n")
    with pytest.raises(SourceError, match="line 3 holds 'old'"):
        read(tmp_path, "age,sex,ward\n41,m,a\nold,f,b\n")


def test_arrays_are_refused_row_by_row_too(tmp_path):
    inputs = np.array([[41, 1, np.nan], [np.nan, 0, 0], [np.inf, 0, 0]], dtype=np.float32)
    np.savez(tmp_path / "rows.npz", inputs=inputs)
    assert sorted(read_rows(tmp_path / "rows.npz", SCHEMA).refused) == [1, 2]
