"""Train, val and test: a row's split depends on the row (or its group) alone, so that no row
changes split as data grow.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from stillhouse.data.codes import group_code
from stillhouse.data.dataset import Dataset, known
from stillhouse.data.keys import row_keys, uniform
from stillhouse.data.targets import targets_of
from stillhouse.errors import DataError, SettingsError

Part = Annotated[float, Gt(0), Lt(1)]
TRAIN, VAL, TEST, ASIDE = 0, 1, 2, -1
NAMES = {"train": TRAIN, "val": VAL, "test": TEST}
UNEVEN = 0.08  # a share of the rows; further from what was asked is worth saying
SEEDS = 200  # that are tried for a hint


@dataclass(frozen=True)
class Split:
    """How rows are divided.

    Attributes:
        by: `row`: by the hash of the row, duplicates stay together. `group`: by the hash of the
            group. `time`: the latest rows are test, those before them val.
        val: Share of the labelled rows; hashing meets it on average.
        test: The same for test.
        seed: Another seed is another division; by time it has no effect.
        val_groups: Groups that are val whatever their hash says, by their names in the source; the
            others are hashed over what is left.
        test_groups: The same for test: a speaker or a hospital that is held out.
    """

    by: Literal["row", "group", "time"] = "row"
    val: Part = 0.1
    test: Part = 0.3
    seed: int = 0
    val_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.val + self.test >= 1:
            raise SettingsError(
                f"val {self.val} and test {self.test} leave nothing to train on.",
                where="prepare.split",
                fix="Their sum must be below 1.",
            )
        if self.by != "group" and (self.val_groups or self.test_groups):
            raise SettingsError(
                f"groups are named, but the split is by {self.by}.",
                where="prepare.split",
                fix="Set by: group, or take val_groups and test_groups out.",
            )
        both = sorted(set(self.val_groups) & set(self.test_groups))
        if both:
            raise SettingsError(
                f"the group '{both[0]}' is named for val and for test.",
                where="prepare.split",
                fix="Name it once.",
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
    if split.by == "group":
        if dataset.groups is None:
            raise DataError(
                "the split is by group, but the rows have none.",
                where="prepare.split",
                fix="Name the source's group, or split by row.",
            )
        names = [str(code).encode() for code in dataset.groups.tolist()]
        _require_named(dataset.groups, split)
    else:
        names = row_keys(dataset)
    placed = _named(split)
    places = torch.tensor([placed.get(name) or _hashed(name, split) for name in names])
    held_back = {
        name
        for name, place, told in zip(names, places.tolist(), labelled.tolist(), strict=True)
        if told and place != TRAIN
    }
    shown = torch.tensor([name in held_back for name in names])
    return torch.where(labelled, places, torch.where(shown, ASIDE, TRAIN))


def _hashed(name: bytes, split: Split) -> int:
    """Return where the hash of a name puts it; a split whose groups are named gets no others."""
    number = uniform(name, f"split {split.seed}")
    test = 0.0 if split.test_groups else split.test
    val = 0.0 if split.val_groups else split.val
    # Of the groups that are not named, each other split gets the share that it would have had.
    number *= 1 - (split.test - test) - (split.val - val)
    if number < test:
        return TEST
    return VAL if number < test + val else TRAIN


def _named(split: Split) -> dict[bytes, int]:
    """Return group → VAL or TEST for the groups that the settings name."""
    wanted = {VAL: split.val_groups, TEST: split.test_groups}
    return {
        str(group_code(name)).encode(): place for place, names in wanted.items() for name in names
    }


def _require_named(groups: Tensor, split: Split) -> None:
    there = set(groups.tolist())
    for setting, names in {
        "val_groups": split.val_groups,
        "test_groups": split.test_groups,
    }.items():
        absent = next((name for name in names if group_code(name) not in there), None)
        if absent is not None:
            raise SettingsError(
                f"no row has the group '{absent}'; the rows have {len(there)} groups.",
                where=f"prepare.split.{setting}",
                fix="Write the name as the source has it.",
            )


def uneven(dataset: Dataset, split: Split) -> str:
    """Return, as a sentence, how far a division by group is from the shares that were asked for;
    empty if it is near, or if groups were named.

    Few groups cannot be divided finely, and a hash does not try: it promises only that no group
    moves when others come.
    """
    if split.by != "group" or dataset.groups is None or split.val_groups or split.test_groups:
        return ""
    names, rows = _sizes(dataset)
    asked = (1 - split.val - split.test, split.val, split.test)
    found = _shares([_hashed(name, split) for name in names], rows)
    if max(abs(a - b) for a, b in zip(asked, found, strict=True)) <= UNEVEN:
        return ""
    return (
        f"{len(names)} groups fall into train, val and test as {_percent(found)} of the rows, not "
        f"{_percent(asked)}.{_nearer(dataset, split)} prepare.split.test_groups and val_groups "
        "name groups that are held out."
    )


def _sizes(dataset: Dataset) -> tuple[list[bytes], list[float]]:
    """Return the groups of the labelled rows, as they are hashed, and each one's share of them."""
    groups = torch.zeros(0) if dataset.groups is None else dataset.groups
    labelled = groups[known(dataset.targets)].tolist()
    counts = sorted(Counter(labelled).items())
    return [str(code).encode() for code, _ in counts], [n / len(labelled) for _, n in counts]


def _nearer(dataset: Dataset, split: Split) -> str:
    """Return the seed whose division comes nearest to what was asked for, as a sentence; empty if
    none is nearer.
    """
    if split.by != "group" or dataset.groups is None or split.val_groups or split.test_groups:
        return ""
    names, rows = _sizes(dataset)
    seed = nearest_seeds(dataset, split)[0]
    if _away(seed, names, rows, split) >= _away(split.seed, names, rows, split):
        return ""
    best = replace(split, seed=seed)
    found = _shares([_hashed(name, best) for name in names], rows)
    return f" prepare.split.seed: {seed} comes nearest ({_percent(found)})."


def nearest_seeds(dataset: Dataset, split: Split) -> list[int]:
    """Return seeds of a split by group, those first whose divisions come nearest to its shares.

    Args:
        dataset: Rows that have groups.
        split: By group; its own seed is not looked at.
    """
    names, rows = _sizes(dataset)
    return sorted(range(SEEDS), key=lambda seed: (_away(seed, names, rows, split), seed))


def _away(seed: int, names: list[bytes], rows: list[float], split: Split) -> float:
    """Return how far a seed's division is from the shares asked for; a part without a group is
    worst.
    """
    other = replace(split, seed=seed)
    places = [_hashed(name, other) for name in names]
    asked = (1 - split.val - split.test, split.val, split.test)
    empty = len({TRAIN, VAL, TEST} - set(places))
    found = _shares(places, rows)
    return empty + max(abs(a - b) for a, b in zip(asked, found, strict=True))


def _shares(places: list[int], rows: list[float]) -> tuple[float, ...]:
    return tuple(
        sum(share for at, share in zip(places, rows, strict=True) if at == place)
        for place in (TRAIN, VAL, TEST)
    )


def _percent(shares: tuple[float, ...]) -> str:
    return " / ".join(f"{100 * share:.0f}" for share in shares) + " %"


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


def _require_three_groups(dataset: Dataset, split: Split) -> None:
    if split.by == "group" and dataset.groups is not None:
        groups = len(set(dataset.groups[known(dataset.targets)].tolist()))
        if groups < 3:
            raise DataError(
                f"all labelled rows are of {groups} group{'s' if groups > 1 else ''}, and train, "
                "val and test need one each.",
                where="prepare.split",
                fix="Bring rows of more groups, or split by row or by time.",
            )


def _mended(dataset: Dataset, split: Split) -> str:
    """Return what helps against a division that is none; looked for only where one is."""
    units = {"row": "rows", "group": "groups", "time": "points in time"}[split.by]
    fix = f"Bring more {units}, change prepare.split.val or prepare.split.test" + (
        "." if split.by == "time" else ", or try another prepare.split.seed."
    )
    return fix + _nearer(dataset, split)


def require_splits(dataset: Dataset, places: Tensor, split: Split) -> list[str]:
    """Return the classes that val or test lack, as sentences; refuse splits that nothing can be
    learned from or measured on.

    Raises:
        DataError: A split has no labelled row or only one class, or train lacks a class.
    """
    if len(dataset) and not known(dataset.targets).any():
        raise DataError(
            f"none of {len(dataset)} rows has a label, and val and test are measured by labels.",
            where="prepare.split",
            fix="Name the target, or bring some rows with labels.",
        )
    _require_three_groups(dataset, split)
    absent, sort = [], targets_of(dataset.schema)
    for name, place in NAMES.items():
        targets = dataset.targets[(places == place) & known(dataset.targets)]
        if not len(targets):
            raise DataError(
                f"no labelled row of {len(dataset)} falls into {name}.",
                where="prepare.split",
                fix=_mended(dataset, split),
            )
        if alike := sort.alike(targets):
            raise DataError(
                f"{name} has {len(targets)} labelled row(s) {alike}.",
                where="prepare.split",
                fix=_mended(dataset, split),
            )
        missing = sort.lacking(targets)
        if missing and place == TRAIN:
            raise DataError(
                f"no row of {missing[0]} falls into train, so that it cannot be learned.",
                where="prepare.split",
                fix=_mended(dataset, split),
            )
        absent += [
            f"{name} has no row of {lacking}; nothing is measured of it there."
            for lacking in missing
        ]
    return absent
