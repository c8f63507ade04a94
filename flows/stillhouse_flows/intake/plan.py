"""What to write into params.yaml for data of this size: nets, epochs, and bounds that the data can
decide.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from stillhouse import config
from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.dataset import Dataset, known
from stillhouse.data.notices import DataNotice
from stillhouse.data.splits import Split, nearest_seeds
from stillhouse.errors import DataError
from stillhouse.models.macs import macs
from stillhouse.models.normalize import Normalize
from stillhouse.steps.prepare import Prepared, divide
from stillhouse_flows.intake.baseline import LINE, SIGNAL, Baseline, measure, some
from stillhouse_flows.intake.giveaway import giveaways
from stillhouse_flows.intake.hints import By, Guess

# What one thread of a laptop does in small nets, narrow and wider; it only decides how many epochs
# are written down.
NARROW, WIDE, WIDE_MACS = 6e9, 15e9, 1_000_000
STEP_SECONDS = 1.2e-3  # of an optimiser step, however small the net
TEACHER_SECONDS, STUDENT_SECONDS = 60.0, 90.0
LEAST_STEPS = 600  # of a student; photographs of hands: 160 steps 57 %, 480 steps 94 %
SEEDS = 3
BATCHES = ((1000, 32), (4000, 64), (20_000, 128))  # fewer train rows than → rows a step
SEARCHED = 5000  # train rows up to which the learning rate is searched too
NEARLY = 0.95  # of what guessing misses: a quick model that reaches it is nearly always right
R2_DOUBT = 0.15  # below what a straight line explains, as rows differ
# Lines of a window → stages of a net: three see 18 lines at once, four 38, five 78. Steps of
# 1.4 to 2.9 a second, 50 lines a second, in windows of 128: three stages 69 %, four 98 %.
DEPTHS = ((512, 5), (64, 4), (0, 3))
FEW_EVENTS = 3000  # train rows of the rarest class below which boosting goes gently
EXAMINED = 1000  # test rows that attacks and corruptions look at
SEEDS_TRIED = 50
FEW_GROUPS = 60  # of which a tenth would be too few to choose by


@dataclass(frozen=True)
class Net:
    """An architecture and its size on these rows.

    Attributes:
        spec: `{name: …}`.
        parameters: Weights.
        macs: Multiply-accumulates a row.
    """

    spec: dict[str, Any]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Plan:
    """Settings that fit the data.

    Attributes:
        split: The section's `split`.
        rows: train, val and test rows under it.
        teacher: The section's spec, without the gate.
        student: The net to ship.
        epochs: Of the student.
        batch: Rows a step.
        trials: Of each study.
        search: Whether the learning rate is searched.
        labelled: Train rows that the student sees with labels; None: all.
        unlabelled: And without.
        metric: Of the baseline, by which everything is chosen and judged.
        baseline: What a quick model reached on val.
        teacher_gate: The section's `gate`; None lets every teacher through.
        student_bound: Of the student's.
        notes: Decisions in words.
        hours: What the steps of a run may take; None: as long as they need.
        positive: Of two classes the rare one, which is looked for; None: it does not matter.
    """

    split: dict[str, Any]
    rows: dict[str, int]
    teacher: dict[str, Any]
    student: Net
    epochs: int
    batch: int
    trials: int
    search: bool
    labelled: int | None
    unlabelled: int
    metric: str
    baseline: Baseline
    teacher_gate: Mapping[str, Any] | None
    student_bound: float
    notes: tuple[str, ...]
    hours: float | None = None
    positive: str | None = None


def plan(dataset: Dataset, guess: Guess, student: config.Spec | None = None) -> Plan:
    """Return settings for a data set; a quick model is trained to know what is reachable.

    Args:
        dataset: All rows.
        guess: How they are read and held out.
        student: The user's own net; None: one that fits the rows.

    Raises:
        DataError: The rows cannot be divided at all.
    """
    split, ready, notes = _divided(dataset, guess.by)
    baseline = measure(ready.train, ready.val)
    labelled, unlabelled = _shown(ready, dataset)
    seen = labelled + unlabelled if labelled else len(ready.train)
    net = sized(dict(student), dataset) if student else student_for(dataset)
    batch = _batch(seen)
    search = seen <= SEARCHED and net.macs < 1_000_000
    trials = 8 if search else 4
    trainings = (3 if search else 1) * trials + 3 * SEEDS
    epochs = _student_epochs(net, seen, batch, trainings)
    return Plan(
        split,
        {"train": len(ready.train), "val": len(ready.val), "test": len(ready.test)},
        _teacher(dataset, len(ready.train), baseline),
        net,
        epochs,
        batch,
        trials,
        search,
        labelled,
        unlabelled,
        baseline.metric,
        baseline,
        {"metric": f"val/{baseline.metric}", "at_least": _teacher_bound(baseline)},
        _bound(baseline, len(ready.test)),
        (*notes, *_given_away(ready, baseline), *_doubts(baseline, dataset)),
        positive=_rarest(ready.train) if baseline.metric == "auc" else None,
    )


def _rarest(train: Dataset) -> str:
    counts = torch.bincount(train.labelled.targets, minlength=len(train.classes))
    return train.classes[int(counts.argmin())]


def _given_away(ready: Prepared, baseline: Baseline) -> tuple[str, ...]:
    """Say which columns tell the target by themselves; only a quick model that is nearly always
    right makes it worth looking.
    """
    schema, gained = ready.train.schema, baseline.reached - baseline.chance
    if not schema.tabular or schema.labels or gained < NEARLY * (1 - baseline.chance):
        return ()
    shares = giveaways(some(ready.train), some(ready.val))
    what = "of the variance of the target" if schema.quantity else "of held-out rows' targets"
    return tuple(
        f"{name} alone tells {math.floor(1000 * share) / 10:.1f} % {what}: is it known when the "
        f"model has to answer? If not, leave it out: --drop {name}."
        for name, share in shares.items()
    )


def _doubts(baseline: Baseline, dataset: Dataset) -> tuple[str, ...]:
    if not baseline.found:
        return (_no_signal(baseline, dataset.schema.kind),)
    if baseline.name == LINE and dataset.schema.kind == "table":
        return (
            f"{LINE} does as well on held-out rows as gradient boosting: it may be all that is "
            "needed.",
        )
    return ()


def _no_signal(baseline: Baseline, kind: str) -> str:
    single = "pixel" if kind == "image" else "moment"
    little = (
        "these columns say little of the target."
        if kind == "table"
        else f"it looks at each {single} by itself, and a net may find more than that."
    )
    return (
        f"{baseline.name} of a few seconds reached {baseline.reached:.2f} {baseline.metric} on "
        f"held-out rows and guessing {baseline.chance:.2f}: {little}"
    )


def _teacher_bound(baseline: Baseline) -> float:
    """Half of what a quick model gains over guessing; where it gains nothing, just not worse."""
    gained = baseline.reached - baseline.chance
    return _down(baseline.chance + (gained / 2 if baseline.found else -SIGNAL))


def _divided(dataset: Dataset, by: By) -> tuple[dict[str, Any], Prepared, list[str]]:
    notes: list[str] = []
    found = next(filter(None, (_try(dataset, split) for split in _splits(dataset, by))), None)
    if found is None and by != "row":
        notes.append(
            f"held out by {by}, val or test would lack rows or classes, so rows are held out one "
            "by one: the numbers will flatter."
        )
        found = _try(dataset, next(_splits(dataset, "row")))
    if found is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # says why
            divide(dataset, next(_splits(dataset, "row")), labelled=None, unlabelled=0)
        raise DataError("the rows cannot be divided.", where="prepare.split", fix="Bring more.")
    split, ready = found
    shown: dict[str, Any] = {"by": split.by, "val": split.val, "test": split.test}
    return shown | ({"seed": split.seed} if split.seed else {}), ready, notes


def _splits(dataset: Dataset, by: By) -> Iterator[Split]:
    """Yield the divisions to try: seed after seed, of few groups those first that come nearest to
    the shares.
    """
    rows = int(known(dataset.targets).sum())
    val, test = (0.15, 0.3) if rows < 5000 else (0.1, 0.2)
    if (
        by == "group"
        and dataset.groups is not None
        and len(set(dataset.groups.tolist())) < (FEW_GROUPS)
    ):
        asked = Split(by, 0.15, test)
        return (replace(asked, seed=seed) for seed in nearest_seeds(dataset, asked)[:SEEDS_TRIED])
    seeds = range(1 if by == "time" else SEEDS_TRIED)
    return (Split(by, val, test, seed) for seed in seeds)


def _try(dataset: Dataset, split: Split) -> tuple[Split, Prepared] | None:
    """Return the division, or None where a part lacks rows or a class, or is far too small."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ready = divide(dataset, split, labelled=None, unlabelled=0)
        except DataError:
            return None
    rows = int(known(dataset.targets).sum())
    classes = set(ready.train.labelled.targets.tolist()) if dataset.classes else set()
    parts = (ready.val, ready.test) if dataset.classes else ()
    whole = all(set(part.targets.tolist()) >= classes for part in parts)
    fair = len(ready.val) >= 0.4 * split.val * rows and (
        0.5 * split.test * rows <= len(ready.test) <= 2 * split.test * rows
    )
    return (split, ready) if (whole or split.by == "time") and fair else None


def _shown(ready: Prepared, dataset: Dataset) -> tuple[int | None, int]:
    """Of many images or recordings the teacher sees all, the student what fits some minutes."""
    train = len(ready.train)
    free = int((~known(ready.train.targets)).sum())
    if dataset.schema.kind == "table" or train <= 6000:
        return None, min(free, 20_000)
    return 4000, 2000


def student_for(dataset: Dataset) -> Net:
    """Return a small net for these rows, counted before any training."""
    shape, kind = dataset.schema.shape, dataset.schema.kind
    if kind == "table":
        spec: dict[str, Any] = {"name": "table_mlp", "width": 32, "depth": 2}
    elif kind == "image":
        depth = 4 if min(shape[1:]) >= 48 else 3
        spec = {"name": "convnet", "width": 8, "depth": depth}
    else:
        depth = next(stages for least, stages in DEPTHS if shape[0] >= least)
        spec = {"name": "convnet", "width": 8, "depth": depth}
    return sized(spec, dataset)


def sized(spec: dict[str, Any], dataset: Dataset) -> Net:
    """Return a net with its weights and arithmetic counted."""
    few = dataset.take(dataset.rows.new_tensor(range(min(len(dataset), 64))))
    model = build_classifier(
        spec, dataset.schema, Normalize.fit(few.inputs, dataset.schema), 0, "distill.student"
    )
    return Net(spec, parameters(model), macs(model, dataset.schema.shape))


def _teacher(dataset: Dataset, train: int, baseline: Baseline) -> dict[str, Any]:
    if dataset.schema.kind == "table" and baseline.name == LINE:
        quantity = dataset.schema.task == "regression"
        line = "linear_regression" if quantity else "logistic_regression"
        rare = {"balanced": True} if baseline.metric == "balanced_accuracy" else {}
        return {"name": "sklearn", "estimator": line, **rare}
    if dataset.schema.kind == "table":
        events = train * baseline.smallest
        few = train < 1000 or (baseline.rare and events < FEW_EVENTS)
        small = {"depth": 4, "learning_rate": 0.05} if few else {}
        rare = {"balanced": True} if baseline.metric == "balanced_accuracy" else {}
        return {"name": "sklearn", "estimator": "gradient_boosting", **small, **rare}
    student = student_for(dataset).spec
    width = 32
    net = sized({**student, "width": width}, dataset)
    batch = _batch(train)
    while width > 16 and 10 * _seconds(net.macs, train, batch) > 2 * TEACHER_SECONDS:
        width -= 8
        net = sized({**student, "width": width}, dataset)
    epochs = _epochs(net.macs, train, batch, TEACHER_SECONDS, most=60)
    return {"name": "fit", "architecture": net.spec, "epochs": epochs, "batch": batch}


def _batch(rows: int) -> int:
    """Return rows a step: few rows are gone through in steps enough to learn from them."""
    return next((size for below, size in BATCHES if rows < below), 512)


def _epochs(cost: int, rows: int, batch: int, seconds: float, *, most: int) -> int:
    """Return how many passes fit into some seconds, in round numbers."""
    return min(rounded(seconds / _seconds(cost, rows, batch)), most)


def rounded(epochs: float) -> int:
    """Return a round number of epochs, no more than these, at least 6 and at most 200."""
    return next((n for n in (200, 150, 100, 60, 40, 30, 20, 15, 10, 8) if n <= epochs), 6)


def _student_epochs(net: Net, rows: int, batch: int, trainings: int) -> int:
    """Return passes that fit, or so many that the student learns something, at up to three times
    the cost.
    """
    each = STUDENT_SECONDS / trainings
    enough = math.ceil(LEAST_STEPS * batch / rows)
    affordable = int(3 * each / _seconds(net.macs, rows, batch))
    return max(_epochs(net.macs, rows, batch, each, most=200), min(enough, affordable))


def _seconds(cost: int, rows: int, batch: int) -> float:
    """Return about how long a pass takes: forward, and twice that backward."""
    rate = WIDE if cost > WIDE_MACS else NARROW
    return math.ceil(rows / batch) * STEP_SECONDS + 3 * cost * rows / rate


def _bound(baseline: Baseline, test: int) -> float:
    """Return a bound that a student as good as the quick model passes, and guessing does not."""
    if baseline.metric == "r2":
        return _down(baseline.reached - R2_DOUBT)
    share = baseline.reached
    doubt = 2.5 * math.sqrt(baseline.alike * share * (1 - share) / max(baseline.counted(test), 1))
    return max(_down(share - doubt - 0.03), _down(baseline.chance))


def _down(share: float) -> float:
    return max(math.floor(share * 100) / 100, 0.0)


def read(guess: Guess, root: Path) -> tuple[Guess, Dataset]:
    """Return the rows that the guessed source reads, as the step `prepare` will, and the guess with
    what the source had to say of them.

    Raises:
        SourceError: The source refuses them.
    """
    source = config.plugin("sources", guess.source, where="prepare.source")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset: Dataset = source.read(root)
    said = [str(told.message) for told in caught if isinstance(told.message, DataNotice)]
    wide = dataset.schema.quantity or dataset.schema.labels
    rows = replace(
        dataset,
        inputs=dataset.inputs.float(),
        targets=dataset.targets.float() if wide else dataset.targets.long(),
        rows=dataset.rows.long(),
    )
    return replace(guess, notes=(*guess.notes, *said)), rows
