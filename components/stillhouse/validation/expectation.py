"""What every expectation of our own does: say of each row whether it is as it should be. Great
Expectations then decides, and names the rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.keys import row_keys
from stillhouse.data.measures import measures, names_of
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, nearest

ALL_KINDS = frozenset({"image", "table", "series"})


@dataclass(frozen=True)
class Rows:
    """All prepared rows: train first, then val, then test.

    Attributes:
        inputs: [N, *schema.shape], float32, data space; NaN where missing.
        targets: [N], int64 codes, −1 where unlabelled; or float32 quantities, NaN where unlabelled;
            or labels [N, L], 1, 0 or NaN. As the student sees them.
        split: [N], `train`, `val` or `test`.
        schema: What a row is.
        numbers: [N], the rows' numbers in their source.
        equal: N texts, the same where the inputs are.
        groups: [N], int64 codes of patient, machine or speaker; None where rows have none.
        measures: By name, [N]: of images and recordings what each channel is like; none of a
            table, whose columns `column` gives.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    split: NDArray[np.str_]
    schema: Schema
    numbers: NDArray[np.int64]
    equal: tuple[str, ...]
    groups: NDArray[np.int64] | None = None
    measures: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """[N]: rows that have a target."""
        found: NDArray[np.bool_] = known(torch.from_numpy(self.targets)).numpy()
        return found

    @property
    def train(self) -> NDArray[np.bool_]:
        """[N]: rows of train."""
        found: NDArray[np.bool_] = self.split == "train"
        return found

    def column(self, name: str) -> NDArray[Any]:
        """Return a table's column [N]: numbers with NaN, or a category's names with None, where
        missing.

        Raises:
            SettingsError: The rows are no table, or have no such column.
        """
        names = [feature.name for feature in self.schema.features]
        if not self.schema.tabular or name not in names:
            raise SettingsError(
                f"the {self.schema.kind} rows have no column '{name}'.",
                where="validate.expectations",
                fix=nearest(name, names),
            )
        at = names.index(name)
        values = self.inputs[:, at].astype(np.float64)
        feature = self.schema.features[at]
        return names_of(values, feature.categories) if feature.kind == "category" else values


class Expectation(ABC):
    """Judges every row. A plugin of one method; settings are its constructor's parameters.

    In params.yaml: `validate.expectations: [{name: my_expectation, severity: warning, mostly:
    0.99}]`; severity and mostly are Great Expectations' own, and are the same for every one.

    Attributes:
        accepts: Kinds of rows that it can judge.
    """

    accepts: ClassVar[frozenset[str]] = ALL_KINDS

    @abstractmethod
    def judge(self, rows: Rows) -> NDArray[Any]:
        """Return for every row [N] whether it is as expected (bool), or a text that says what is
        odd about it, empty where nothing is.

        Args:
            rows: All of them; an expectation may compare rows with one another.
        """


def rows_of(splits: Mapping[str, Dataset]) -> Rows:
    """Return all rows of train, val and test, in this order."""
    datasets = list(splits.values())
    groups = [dataset.groups for dataset in datasets if dataset.groups is not None]
    tabular = datasets[0].schema.tabular
    measured = [{} if tabular else measures(dataset) for dataset in datasets]
    return Rows(
        inputs=np.concatenate([dataset.inputs.numpy() for dataset in datasets]),
        targets=np.concatenate([dataset.targets.numpy() for dataset in datasets]),
        split=np.array([name for name, dataset in splits.items() for _ in range(len(dataset))]),
        schema=datasets[0].schema,
        numbers=np.concatenate([dataset.rows.numpy() for dataset in datasets]),
        equal=tuple(key.hex()[:16] for dataset in datasets for key in row_keys(dataset)),
        groups=np.concatenate([g.numpy() for g in groups])
        if len(groups) == len(datasets)
        else None,
        measures={name: np.concatenate([m[name] for m in measured]) for name in measured[0]},
    )
