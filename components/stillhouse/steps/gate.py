"""Promote, hold or reject: every rule asked of the deployed student, on the same test rows for
everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, cast

from annotated_types import Interval
from torch import Tensor

from stillhouse import config
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.data.dataset import known as has_target
from stillhouse.data.measures import measures
from stillhouse.edge.session import Session
from stillhouse.errors import DataError, SettingsError, nearest
from stillhouse.evaluation.operating import choose
from stillhouse.evaluation.tasks import Classification, Task, task_of
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.comparable import mismatch
from stillhouse.gating.flips import NOTHING, flips
from stillhouse.gating.metrics import CATALOGUE, DRIFT, find, known_metrics
from stillhouse.gating.rule import Rule
from stillhouse.gating.settings import parse
from stillhouse.gating.two_classes import Point
from stillhouse.gating.verdict import Verdict, judge
from stillhouse.release.manifest import student_fingerprint
from stillhouse.robustness.adversarial import transfers
from stillhouse.robustness.case import make_cases
from stillhouse.steps.robustness import DEFAULT_ATTACKS, DEFAULT_CORRUPTIONS
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.validation.drift import Drift, drift
from stillhouse.workspace import StepFiles

READS = (
    "prepare/train.safetensors",
    "prepare/val.safetensors",
    "prepare/test.safetensors",
    "prepare/schema.json",
    "prepare/data.json",
    "teacher/outcomes.safetensors",
    "distill/outcomes.safetensors",
    "distill/student.safetensors",
    "distill/student.json",
    "export/student.onnx",
    "export/student.int8.onnx",
    "export/outcomes.safetensors",
    "export/edge.json",
    "robustness/outcomes.safetensors",
    "robustness/robustness.json",
)
WRITES = ("verdict.json", "outcomes.safetensors")
CHAMPION, CHAMPION_MODEL = (
    ".stillhouse/champion/champion.json",
    ".stillhouse/champion/champion.onnx",
)
WATCHED: dict[str, Any] = {"metric": DRIFT, "at_most": 0, "gates": False}
SHIPPED_SEED = 0  # of every arm: the student that ships, and the controls that it is compared with


@dataclass(frozen=True)
class Settings:
    """The section `gate`.

    Attributes:
        rules: See `gating.settings.parse`; at least one that gates. Where none speaks of drift,
            `{metric: drift/features, at_most: 0, gates: false}` is watched beside them.
        alpha: The stated error rate over all rules that gate.
    """

    rules: tuple[Mapping[str, Any], ...] = ()
    alpha: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05


@dataclass(frozen=True)
class Champion:
    """The model in production, asked today's rows.

    Attributes:
        about: What champion.json tells of it; None before the first promotion.
        logits: [N, C]; None where it could not be asked.
        incomparable: Why not.
        val_logits: [N val, C], to choose its threshold by.
    """

    about: Mapping[str, Any] | None
    logits: Tensor | None = None
    incomparable: str = ""
    val_logits: Tensor | None = None

    @property
    def name(self) -> str | None:
        """It in words; None before the first promotion."""
        return None if self.about is None else f"version {self.about['version']}"

    @property
    def entry(self) -> dict[str, Any] | None:
        """What the verdict is conditional on."""
        return (
            None
            if self.about is None
            else {key: self.about[key] for key in ("head", "version", "manifest")}
        )


def run(job: Job) -> Metrics:
    """Write `gate/verdict.json`, which holds no clock, and the champion's answers.

    Returns:
        Counts of rules that gate: `gate/rules` (those that apply), `gate/passed`, `gate/undecided`,
            `gate/failed`.

    Raises:
        SettingsError: A rule asks for what this run does not measure.
        DataError: champion.json is missing, or no test row has a target.
    """
    settings = job.settings(Settings, "gate")
    names = known(job.params)
    rules = parse(watched(settings.rules), names)
    test = prepared.load(job.files, "test")
    task = task_of(test.schema)
    for_task(rules, task)
    if not has_target(test.targets).any():
        raise DataError(
            "no test row has a target.",
            where="prepare/test.safetensors",
            fix="A gate needs labelled test rows.",
        )
    champion = ask_champion(job.files, test)
    moved = drifted(job.files, champion)
    found = replace(outcomes(job.files, test.targets, champion, moved), task=task)
    point = operating_point(job.files, prepared.load(job.files, "val"), champion)
    found = replace(found, point=point)
    evidence = collect(
        found,
        {rule.metric for rule in rules},
        champion=champion.name,
        incomparable=champion.incomparable,
    )
    verdict = judge(rules, evidence, settings.alpha)
    about = {
        "student": student_fingerprint(job.files.workspace),
        "champion": champion.entry,
        "flips": changed(found, test, champion),
        "metrics": names,
        "drift": None if moved is None else moved.as_dict(),
    }
    if point is not None:
        about["operating_point"] = asdict(point)
    job.files.write_json("gate/verdict.json", {**verdict.as_dict(), **about})
    job.files.write_tensors(
        "gate/outcomes.safetensors",
        {} if champion.logits is None else {"champion_logits": champion.logits},
    )
    return _metrics(verdict)


def for_task(rules: Sequence[Rule], task: Task) -> None:
    """Refuse rules about what is not measured where this is predicted.

    Raises:
        SettingsError: There is one.
    """
    own = [name for name, metric in CATALOGUE.items() if task.name in metric.tasks]
    for rule in rules:
        metric = find(rule.metric)
        if metric is not None and task.name not in metric.tasks:
            raise SettingsError(
                f"this is a {task.name}, which has no '{rule.metric}'.",
                where="gate.rules",
                fix=nearest(rule.metric, own),
            )


def _metrics(verdict: Verdict) -> Metrics:
    counts = {
        "gate/passed": verdict.count("pass"),
        "gate/undecided": verdict.count("undecided"),
        "gate/failed": verdict.count("fail"),
    }
    return {
        name: float(count) for name, count in {**counts, "gate/rules": sum(counts.values())}.items()
    }


def ask_champion(files: StepFiles, test: Dataset) -> Champion:
    """Return the model in production with its answers to the test rows.

    Raises:
        DataError: champion.json is missing: not knowing the champion is not the same as having
            none.
        Corrupt: It is not JSON any more.
        SourceError: champion.onnx is not an ONNX model in one file.
    """
    workspace = files.workspace
    if not (workspace.root / CHAMPION).is_file():
        raise DataError(
            "nobody has written down what is in production.",
            where=CHAMPION,
            fix="Start with `stillhouse run`, which asks the registry.",
        )
    about = workspace.read_json(CHAMPION)
    if about is None:
        return Champion(None)
    model = workspace.root / CHAMPION_MODEL
    data = model.read_bytes() if model.is_file() else b""
    reason = (
        mismatch(about, data, test.schema, CHAMPION_MODEL)
        if data
        else "its model is not here; start with `stillhouse run`."
    )
    if reason:
        return Champion(
            about, incomparable=f"version {about['version']} cannot be asked today's rows: {reason}"
        )
    session = Session(data, where=CHAMPION_MODEL, schema=test.schema)
    val = prepared.load(files, "val")
    return Champion(about, session.logits(test.inputs), val_logits=session.logits(val.inputs))


def watched(specs: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return the rules with the one about drift, where none is written."""
    told = any(isinstance(spec, Mapping) and spec.get("metric") == DRIFT for spec in specs)
    return tuple(specs) if told or not specs else (*specs, WATCHED)


def drifted(files: StepFiles, champion: Champion) -> Drift | None:
    """Return how today's train rows differ from those that the champion learned from; None where
    there is no champion, or where it left no statistics.
    """
    before = (champion.about or {}).get("statistics")
    if before is None or "sketches" not in before:
        return None
    now = files.read_json("prepare/data.json")["statistics"]
    train = prepared.load(files, "train")
    targets = train.targets[has_target(train.targets)].numpy()
    return drift(before, now, measures(train), targets=targets, against=str(champion.name))


def operating_point(files: StepFiles, val: Dataset, champion: Champion) -> Point | None:
    """Return where each model of two classes says yes: the student where `distill` chose it, the
    others by the same criterion, on val; None where there are not two classes.

    Raises:
        DataError: Val has rows of one class only.
    """
    told = files.read_json("distill/student.json").get("operating_point")
    if told is None:
        return None
    task, has = cast(Classification, task_of(val.schema)), has_target(val.targets)
    arms = files.read_tensors("distill/outcomes.safetensors")
    logits = {"teacher": files.read_tensors("teacher/outcomes.safetensors")["val_logits"]}
    logits |= {
        arm: arms[name]
        for arm in ("none", "hard")
        if (name := f"{arm}/{SHIPPED_SEED}/val_logits") in arms
    }
    if champion.val_logits is not None:
        logits["champion"] = champion.val_logits
    thresholds = {
        who: choose(told["criterion"], *task.ranked(found[has], val.targets[has]))
        for who, found in logits.items()
    }
    return Point(told["positive"], {**thresholds, "student": told["threshold"]})


def outcomes(
    files: StepFiles, targets: Tensor, champion: Champion, moved: Drift | None = None
) -> Outcomes:
    """Return what earlier steps left behind. The student is what its ONNX answers; the arms are
    those of seed 0.
    """
    arms, exported = (
        files.read_tensors("distill/outcomes.safetensors"),
        files.read_tensors("export/outcomes.safetensors"),
    )
    edge, examined = (
        files.read_json("export/edge.json"),
        files.read_json("robustness/robustness.json"),
    )
    logits = {
        "student": exported["fp32_logits"],
        "teacher": files.read_tensors("teacher/outcomes.safetensors")["test_logits"],
    }
    logits |= {
        arm: arms[name]
        for arm in ("none", "hard")
        if (name := f"{arm}/{SHIPPED_SEED}/test_logits") in arms
    }
    if champion.logits is not None:
        logits["champion"] = champion.logits
    exact = {f"edge/{name}": edge.get(name) for name in ("parity_max_error", "macs", "parameters")}
    exact |= {
        f"edge/{name}_kb": edge[key] / 1000 if edge.get(key) else None
        for name, key in (("size", "onnx_bytes"), ("int8_size", "int8_bytes"))
    }
    if moved is not None:
        exact[DRIFT] = moved.share
    return Outcomes(
        targets=targets,
        logits=logits,
        int8=exported.get("int8_logits"),
        robust=files.read_tensors("robustness/outcomes.safetensors"),
        norms={attack["label"]: attack["norm"] for attack in examined["attacks"]},
        exact={name: float(value) for name, value in exact.items() if value is not None},
        not_measured={entry["name"]: entry["reason"] for entry in examined.get("not_measured", [])},
    )


def changed(found: Outcomes, test: Dataset, champion: Champion) -> dict[str, Any]:
    """Return the flips against the champion; all null where there is none, where it could not be
    asked, or where no model decides for a class.
    """
    if champion.logits is None or not found.task.decides:
        return {**NOTHING, "against": champion.name}
    right, before = found.right(found.logits["student"]), found.right(champion.logits)
    return flips(right.numpy(), before.numpy(), test.rows[found.known].numpy(), str(champion.name))


def known(params: Mapping[str, Any]) -> list[str]:
    """Return the metrics that rules may name in a run of these params."""
    section = params.get("robustness") or {}
    attacks, corruptions = section.get("attacks"), section.get("corruptions")
    cases = make_cases(DEFAULT_ATTACKS if attacks is None else attacks, "robustness.attacks")
    usual = {name for names in DEFAULT_CORRUPTIONS.values() for name in names}
    names = sorted(usual) if corruptions is None else [str(spec["name"]) for spec in corruptions]
    return known_metrics(
        {case.label: case.ball.norm for case in [*cases, *transfers(cases)]}, names
    )


def check(params: Mapping[str, Any]) -> None:
    """Check the section and every rule, against the attacks and corruptions that this run makes;
    nothing is read.
    """
    config.refuse_spaces(params.get("gate"), "gate")
    parse(config.build(Settings, params.get("gate"), where="gate").rules, known(params))


step = Step(
    name="gate", run=run, reads=READS, writes=WRITES, sections=("gate", "robustness"), check=check
)
