"""Train, val and test: a row's split depends on the row (or its group) alone, so that no row
changes split as data grow.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.keys import row_keys, uniform
from stillhouse.data.targets import targets_of
from stillhouse.errors import DataError, SettingsError

Part = Annotated[float, Gt(0), Lt(1)]
TRAIN, VAL, TEST, ASIDE = 0, 1, 2, -1
NAMES = {"train": TRAIN, "val": VAL, "test": TEST}


@dataclass(frozen=True)
class Split:
    """How rows are divided.

    Attributes:
        by: `row`: by the hash of the row, duplicates stay together. `group`: by the hash of the
            group. `time`: the latest rows are test, those before them val.
        val: Share of the labelled rows; hashing meets it on average.
        test: The same for test.
        seed: Another seed is another division; by time it has no effect.
    """

    by: Literal["row", "group", "time"] = "row"
    val: Part = 0.1
    test: Part = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.val + self.test >= 1:
            raise SettingsError(
                f"val {self.val} and test {self.test} leave nothing to train on.",
                where="prepare.split",
                fix="Their sum must be below 1.",
            )


def assign(dataset: Dataset, split: Split) -> Tensor:
    """Return each row's split [N]: 0 train, 1 val, 2 test, −1 none.

    Unlabelled rows are train rows, unless they are equal to a labelled row of val or test, share
    its group, or (by time) are as late: those are set aside, since as train rows they would show
    the model what is held back.

    Raises:
        DataError: The data have no groups or no time, but the split is by them.
    """
    labelled = known(dataset.targets)
    if split.by == "time":
        return _by_time(dataset, split, labelled)
    keys = row_keys(dataset)
    if split.by == "group":
        if dataset.groups is None:
            raise DataError(
                "the split is by group, but the rows have none.",
                where="prepare.split",
                fix="Name the source's group, or split by row.",
            )
        names = [str(code).encode() for code in dataset.groups.tolist()]
    else:
        names = keys
    places = torch.tensor([_place(uniform(name, f"split {split.seed}"), split) for name in names])
    held_back = {
        name
        for name, place, told in zip(names, places.tolist(), labelled.tolist(), strict=True)
        if told and place != TRAIN
    }
    shown = torch.tensor([name in held_back for name in names])
    return torch.where(labelled, places, torch.where(shown, ASIDE, TRAIN))


def _place(number: float, split: Split) -> int:
    if number < split.test:
        return TEST
    return VAL if number < split.test + split.val else TRAIN


def _by_time(dataset: Dataset, split: Split, labelled: Tensor) -> Tensor:
    if dataset.time is None:
        raise DataError(
            "the split is by time, but the rows have none.",
            where="prepare.split",
            fix="Name the source's time, or split by row.",
        )
    times = dataset.time[labelled].sort().values
    if len(times) == 0:
        return torch.full((len(dataset),), TRAIN)
    count = len(times)
    first_test = times[
        max(count - round(split.test * count), 0) if round(split.test * count) else count - 1
    ]
    first_val = times[max(count - round((split.test + split.val) * count), 0)]
    places = torch.full((len(dataset),), TRAIN)
    places[dataset.time >= first_val] = VAL
    places[dataset.time >= first_test] = TEST
    return torch.where(labelled | (places == TRAIN), places, ASIDE)


def require_splits(dataset: Dataset, places: Tensor, split: Split) -> list[str]:
    """Return the classes that val or test lack, as sentences; refuse splits that nothing can be
    learned from or measured on.

    Raises:
        DataError: A split has no labelled row or only one class, or train lacks a class.
    """
    units = {"row": "rows", "group": "groups", "time": "points in time"}[split.by]
    fix = f"Bring more {units}, change prepare.split.val or prepare.split.test" + (
        "." if split.by == "time" else ", or try another prepare.split.seed."
    )
    absent, sort = [], targets_of(dataset.schema)
    for name, place in NAMES.items():
        targets = dataset.targets[(places == place) & known(dataset.targets)]
        if not len(targets):
            raise DataError(
                f"no labelled row of {len(dataset)} falls into {name}.",
                where="prepare.split",
                fix=fix,
            )
        if alike := sort.alike(targets):
            raise DataError(
                f"{name} has {len(targets)} labelled row(s) {alike}.",
                where="prepare.split",
                fix=fix,
            )
        missing = sort.lacking(targets)
        if missing and place == TRAIN:
            raise DataError(
                f"no row of {missing[0]} falls into train, so that it cannot be learned.",
                where="prepare.split",
                fix=fix,
            )
        absent += [
            f"{name} has no row of {lacking}; nothing is measured of it there."
            for lacking in missing
        ]
    return absent
