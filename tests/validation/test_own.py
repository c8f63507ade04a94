from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from validation.expectations.rows import TABLE

from stillhouse import config, plugins
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError
from stillhouse.validation.expect import expect
from stillhouse.validation.settings import Settings
from stillhouse.validation.verdict import Verdict

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
EXAMPLE = Path(__file__).parents[2] / "docs/examples/my_expectation.py"
WRONG = """
import numpy as np
from stillhouse.validation import Expectation

class TooShort(Expectation):
    def judge(self, rows):
        return np.ones(3, dtype=bool)

class Numbers(Expectation):
    def judge(self, rows):
        return np.ones(len(rows))
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text())
    (tmp_path / "wrong.py").write_text(WRONG)
    plugins.use(["mine.py", "wrong.py"], tmp_path)
    yield
    plugins.use([], tmp_path)


def judge(dose: float, *entries: dict[str, Any]) -> Verdict:
    def rows(count: int, first: int) -> Dataset:
        number = torch.arange(count).float()
        inputs = torch.stack([20 + number, 100 + number + first / 1000, number % 2], 1)
        return Dataset(inputs, torch.arange(count) % 2, TABLE, torch.arange(first, first + count))

    splits = {"train": rows(40, 0), "val": rows(20, 100), "test": rows(20, 200)}
    splits["val"].inputs[7, 1] = dose
    settings = config.build(Settings, {"expectations": list(entries)}, where="validate")
    return expect(splits, settings, by="row")


def test_a_user_s_expectation_names_the_rows_that_fail_it() -> None:
    entry = {"name": "dose_fits_age"}
    assert judge(110, entry).passed
    verdict = judge(1000, entry)
    [finding] = [f for f in verdict.failed if f.severity == "critical"]
    assert (finding.expectation, finding.rows, finding.split) == ("dose_fits_age", (107,), "val")
    assert judge(1000, {**entry, "per_year": 100.0}).passed
    assert judge(1000, {**entry, "severity": "warning"}).passed
    assert judge(1000, {**entry, "mostly": 0.9}).passed


@pytest.mark.parametrize("name", ["too_short", "numbers"])
def test_an_expectation_that_does_not_judge_every_row_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="Return a bool or a text for every row"):
        judge(110, {"name": name})
    assert judge(110, {"name": "dose_fits_age"}).passed


def test_a_column_that_is_not_there_is_named() -> None:
    from stillhouse.validation.expectation import rows_of

    number = torch.arange(10).float()
    inputs = torch.stack([number, number, number % 2], 1)
    dataset = Dataset(inputs, torch.arange(10) % 2, TABLE, torch.arange(10))
    rows = rows_of(
        {"train": dataset, "val": dataset.take(number > 7), "test": dataset.take(number > 7)}
    )
    assert rows.column("ward").tolist() == ["a", "b"] * 7
    np.testing.assert_array_equal(rows.column("age"), np.r_[np.arange(10.0), 8, 9, 8, 9])
    with pytest.raises(SettingsError, match=r"no column 'wards'.*Did you mean 'ward'"):
        rows.column("wards")
