from pathlib import Path

import numpy as np
import pytest

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
    assert tuple(read_rows(tmp_path / "rows.npz", IMAGES).shape) == (3, 1, 4, 4)
