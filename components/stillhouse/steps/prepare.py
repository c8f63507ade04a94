"""Read the source, divide its rows, pick what the student's arms see, and withhold the rest."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt

from stillhouse import config, plugins
from stillhouse.config import Natural, Spec
from stillhouse.data import prepared
from stillhouse.data.constraints import parse
from stillhouse.data.dataset import Dataset
from stillhouse.data.notices import ClassAbsent, DataNotice, RowsSetAside, SplitUneven
from stillhouse.data.pick import Pick, pick
from stillhouse.data.schema import Schema
from stillhouse.data.source import Source
from stillhouse.data.splits import ASIDE, NAMES, Split, assign, require_splits, uneven
from stillhouse.data.statistics import statistics
from stillhouse.data.targets import targets_of
from stillhouse.errors import DataError, SettingsError, SourceError, nearest
from stillhouse.steps.query import informed
from stillhouse.steps.step import Job, Metrics, Step

Level = Annotated[float, Gt(0), Lt(1)]
WRITES = (
    "train.safetensors",
    "withheld.safetensors",
    "val.safetensors",
    "test.safetensors",
    "schema.json",
    "data.json",
    "keys.json",
)


@dataclass(frozen=True)
class Settings:
    """The section `prepare`.

    Attributes:
        source: Where rows come from: a source plugin.
        kind: What rows must be; `auto` takes what the source says.
        split: See `data.splits.Split`.
        labelled: How many train rows the student's arms see with labels; null: all.
        unlabelled: How many more they see without; null: 0. These the teacher is asked about, so
            that a paid one is paid for no more.
        query: Which they are: `even`, as the classes are; or `informative`, those of which a cheap
            model of the labelled rows is unsure, in different ways.
        positive: Of two classes the one that is looked for (the sick, the crash), of which
            sensitivity and precision speak; null: the second by name.
        constraints: What holds between two columns of every row, such as `systolic > diastolic`:
            validation checks it, and neither attacks nor corruptions break it.
        quantiles: Of a regression: levels that the models tell in place of the mean, with 0.5 among
            them, such as [0.1, 0.5, 0.9].
    """

    source: Spec
    kind: Literal["auto", "image", "table", "series"] = "auto"
    split: Spec | None = None
    labelled: Natural | None = None
    unlabelled: Natural | None = None
    query: Literal["even", "informative"] = "even"
    positive: str | None = None
    constraints: tuple[str, ...] = ()
    quantiles: tuple[Level, ...] = ()

    def __post_init__(self) -> None:
        if self.quantiles and (
            list(self.quantiles) != sorted(set(self.quantiles)) or 0.5 not in self.quantiles
        ):
            raise SettingsError(
                f"the quantiles {list(self.quantiles)} do not rise, or lack the median.",
                where="prepare.quantiles",
                fix="Write rising levels with 0.5 among them, such as [0.1, 0.5, 0.9].",
            )


@dataclass(frozen=True)
class Prepared:
    """What the step stores.

    Attributes:
        train: All train rows with all their targets.
        val: Rows to choose by.
        test: Rows to judge by.
        pick: What of train the arms see.
    """

    train: Dataset
    val: Dataset
    test: Dataset
    pick: Pick

    @property
    def picked(self) -> torch.Tensor:
        """[N] of train, u8: 1 where the arms see the row."""
        mask = torch.zeros(len(self.train), dtype=torch.uint8)
        mask[self.pick.labelled] = 1
        mask[self.pick.unlabelled] = 1
        return mask

    @property
    def shown(self) -> Dataset:
        """Train as the student may see it: −1 unless picked with its label."""
        targets = torch.full_like(self.train.targets, targets_of(self.train.schema).unknown)
        targets[self.pick.labelled] = self.train.targets[self.pick.labelled]
        return replace(self.train, targets=targets)

    def rows(self) -> dict[str, int]:
        """Return the counts that receipt and data.json tell."""
        sizes = {"train": len(self.train), "val": len(self.val), "test": len(self.test)}
        return {
            **sizes,
            "labelled": len(self.pick.labelled),
            "unlabelled": len(self.pick.unlabelled),
        }

    def keys(self) -> dict[str, str]:
        """Return row number → name in its owner's words; empty where numbers say it all."""
        return {
            str(row): key
            for dataset in (self.train, self.val, self.test)
            for row, key in zip(dataset.rows.tolist(), dataset.keys or (), strict=False)
        }

    def fingerprint(self) -> str:
        """Return the sha256 over every row, target, row number, group and time, and the pick."""
        digest = hashlib.sha256()
        for dataset in (self.train, self.val, self.test):
            digest.update(dataset.fingerprint().encode())
            for tensor in (dataset.rows, dataset.groups, dataset.time):
                digest.update(b"none" if tensor is None else tensor.contiguous().numpy().tobytes())
        digest.update(self.picked.numpy().tobytes())
        digest.update(self.shown.targets.numpy().tobytes())
        return digest.hexdigest()


def divide(
    dataset: Dataset, split: Split, *, labelled: int | None, unlabelled: int | None
) -> Prepared:
    """Divide rows and pick from train.

    Raises:
        DataError: A split would have no rows or only one class.
        SettingsError: Fewer labelled rows are asked for than there are classes.

    Warns:
        RowsSetAside: Unlabelled rows would have shown what val or test hold.
        ClassAbsent: Val or test lack a class.
        SplitUneven: Few groups fell far from the shares asked for.
        AllTaken: More rows are asked for than there are.
    """
    places = assign(dataset, split)
    for sentence in require_splits(dataset, places, split):
        warnings.warn(sentence, ClassAbsent, stacklevel=2)
    told = uneven(dataset, split)
    if told:
        warnings.warn(told, SplitUneven, stacklevel=2)
    aside = int((places == ASIDE).sum())
    if aside:
        why = (
            "they are as late as val or test"
            if split.by == "time"
            else "labelled rows of val or test are "
            f"{'equal to them' if split.by == 'row' else 'of their groups'}"
        )
        warnings.warn(
            f"{aside} unlabelled rows are in no split: {why}.", RowsSetAside, stacklevel=2
        )
    train, val, test = (dataset.take(places == place) for place in NAMES.values())
    return Prepared(train, val, test, pick(train, labelled=labelled, unlabelled=unlabelled))


def _read(settings: Settings, job: Job) -> Dataset:
    source = config.plugin("sources", settings.source, where="prepare.source")
    dataset: Dataset = source.read(job.root)
    name = str(settings.source["name"])
    if settings.kind not in ("auto", dataset.schema.kind):
        raise DataError(
            f"the source '{name}' gives {dataset.schema.kind} rows, not {settings.kind}.",
            where="prepare.kind",
            fix="Set kind: auto, or the source's own kind.",
        )
    dataset = replace(dataset, schema=_answered(dataset.schema, settings, name))
    _require_shapes(dataset, name)
    sort = targets_of(dataset.schema)
    sort.require(dataset, where=f"prepare.source '{name}'")
    return replace(
        dataset,
        inputs=dataset.inputs.float(),
        targets=dataset.targets.to(sort.dtype),
        rows=dataset.rows.long(),
    )


def _answered(schema: Schema, settings: Settings, name: str) -> Schema:
    """Return the schema with what the settings say of its columns and its target."""
    for at, text in enumerate(settings.constraints):
        parse(text, schema, f"prepare.constraints.{at}")
    schema = replace(schema, constraints=settings.constraints)
    if settings.positive is not None:
        if len(schema.classes) != 2 or settings.positive not in schema.classes:
            raise SettingsError(
                f"'{settings.positive}' is none of two classes.",
                where="prepare.positive",
                fix=nearest(settings.positive, list(schema.classes))
                if len(schema.classes) == 2
                else "Leave it out: there are not two classes.",
            )
        return replace(schema, positive=settings.positive)
    if not settings.quantiles:
        return schema
    if schema.quantity is None:
        raise SettingsError(
            f"the source '{name}' gives classes, which have no quantiles.",
            where="prepare.quantiles",
            fix="Leave them out, or set task: regression beside the source's target.",
        )
    return replace(schema, quantity=replace(schema.quantity, quantiles=settings.quantiles))


def _require_shapes(dataset: Dataset, name: str) -> None:
    """A source may be anybody's: hold it to its own schema before anything is computed from it."""
    count, schema, fix = len(dataset), dataset.schema, "Mend the source."
    if count == 0 or tuple(dataset.inputs.shape) != (count, *schema.shape):
        what = (
            f"inputs of the shape {tuple(dataset.inputs.shape)} for {count} targets, its schema "
            f"says [N, {', '.join(map(str, schema.shape))}]"
        )
        raise SourceError(f"the source '{name}' gives {what}.", where="prepare.source", fix=fix)
    if dataset.keys is not None and len(dataset.keys) != count:
        raise SourceError(
            f"the source '{name}' gives {len(dataset.keys)} keys for {count} rows.",
            where="prepare.source",
            fix=fix,
        )
    for what, tensor in (
        ("rows", dataset.rows),
        ("groups", dataset.groups),
        ("time", dataset.time),
    ):
        if tensor is not None and tuple(tensor.shape) != (count,):
            raise SourceError(
                f"the source '{name}' gives {what} of the shape {tuple(tensor.shape)} for "
                f"{count} rows.",
                where="prepare.source",
                fix=fix,
            )
    if len(set(dataset.rows.tolist())) != count:
        raise SourceError(
            f"the source '{name}' gives two rows the same number.", where="prepare.source", fix=fix
        )
    if fault := targets_of(schema).fault(dataset.targets):
        raise SourceError(
            f"the source '{name}' {fault}.",
            where="prepare.source",
            fix="Codes are 0 to C − 1 and −1 is unlabelled; quantities are numbers, NaN where "
            "unlabelled.",
        )


def run(job: Job) -> Metrics:
    """Write the prepared data.

    Raises:
        SourceError: The source is missing, broken, or holds nothing to learn.
        DataError: The rows cannot be divided as asked.
        SettingsError: A setting does not fit.
    """
    settings, split = _settings(job.params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DataNotice)
        ready = divide(
            _read(settings, job), split, labelled=settings.labelled, unlabelled=settings.unlabelled
        )
        ready = informed(ready, job) if settings.query == "informative" else ready
    notices = [warning.message for warning in caught if isinstance(warning.message, DataNotice)]
    for notice in notices:
        warnings.warn(notice, stacklevel=2)
    _write(job, ready, settings, split, [str(notice) for notice in notices])
    rows = ready.rows()
    held = {
        f"data/{name}_rows": float(rows[name])
        for name in ("train", "val", "test", "labelled", "unlabelled")
    }
    return {
        "data/rows": float(rows["train"] + rows["val"] + rows["test"]),
        "data/classes": float(len(ready.train.classes)),
        **held,
    }


def _write(job: Job, ready: Prepared, settings: Settings, split: Split, notices: list[str]) -> None:
    files = job.files
    files.write_tensors(
        "prepare/train.safetensors", {**prepared.tensors(ready.shown), "picked": ready.picked}
    )
    files.write_tensors("prepare/withheld.safetensors", {"targets": ready.train.targets})
    files.write_tensors("prepare/val.safetensors", prepared.tensors(ready.val))
    files.write_tensors("prepare/test.safetensors", prepared.tensors(ready.test))
    files.write_json("prepare/schema.json", ready.train.schema.as_dict())
    files.write_json("prepare/keys.json", ready.keys())
    about = {
        "fingerprint": ready.fingerprint(),
        "source": str(settings.source["name"]),
        "kind": ready.train.schema.kind,
        "split": {"by": split.by, "val": split.val, "test": split.test, "seed": split.seed},
        "rows": ready.rows(),
        "warnings": notices,
        "statistics": statistics(ready.train),
    }
    files.write_json("prepare/data.json", about)


def _settings(params: Mapping[str, Any]) -> tuple[Settings, Split]:
    settings = config.build(Settings, params.get("prepare"), where="prepare")
    return settings, config.build(Split, settings.split, where="prepare.split")


def check(params: Mapping[str, Any]) -> None:
    """Check the section and the source's settings; no data are read."""
    config.refuse_spaces(params.get("prepare"), "prepare")
    settings, _ = _settings(params)
    config.check_spec("sources", settings.source, where="prepare.source")


def declared(params: Mapping[str, Any]) -> str | None:
    """Return the task that the source's settings say, or None where only its rows tell."""
    settings, _ = _settings(params)
    source: Source = config.plugin("sources", settings.source, where="prepare.source")
    return source.task


def sources(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that the source's settings name, by setting."""
    name, rest = config.split_spec(
        "sources", (params.get("prepare") or {}).get("source"), where="prepare.source"
    )
    return config.input_files(plugins.load("sources", name), rest)


def watermarks(params: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Return what the source says of rows that are no file's; the database is asked for it."""
    settings, _ = _settings(params)
    found = config.plugin("sources", settings.source, where="prepare.source").watermark(root)
    return {} if found is None else {"watermark of prepare.source": found}


step = Step(
    name="prepare",
    run=run,
    reads=(),
    writes=WRITES,
    sections=("prepare",),
    check=check,
    sources=sources,
    watermarks=watermarks,
)
