"""Promote, hold or reject: every rule asked of the deployed student, on the same test rows for
everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor

from stillhouse import config
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.data.dataset import known as has_target
from stillhouse.data.keys import short_keys
from stillhouse.data.measures import measures
from stillhouse.errors import DataError, SettingsError, nearest
from stillhouse.evaluation.tasks import Task, task_of
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.flips import NOTHING, flips
from stillhouse.gating.metrics import ALARMS, CATALOGUE, DRIFT, find, known_metrics
from stillhouse.gating.rule import Rule
from stillhouse.gating.settings import parse
from stillhouse.gating.sliced import Slice
from stillhouse.gating.verdict import Verdict, decides, judge
from stillhouse.release.manifest import student_fingerprint
from stillhouse.robustness.adversarial import transfers
from stillhouse.robustness.case import make_cases
from stillhouse.steps import judged
from stillhouse.steps.champion import CHAMPION as CHAMPION
from stillhouse.steps.champion import CHAMPION_MODEL as CHAMPION_MODEL
from stillhouse.steps.champion import Champion, ask_champion
from stillhouse.steps.examined import DEFAULT_ATTACKS, DEFAULT_CORRUPTIONS
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.steps.versus import against
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
WATCHED: dict[str, Any] = {"metric": DRIFT, "at_most": 0, "gates": False}
SHOWN = 200  # wrong rows of a slice that are told one by one


@dataclass(frozen=True)
class Settings:
    """The section `gate`.

    Attributes:
        rules: See `gating.settings.parse`; at least one that gates. Where none speaks of drift,
            `{metric: drift/features, at_most: 0, gates: false}` is watched beside them; where none
            speaks of slices, the alarm `{name: collapse}` stands beside them; where one decides by
            an accuracy under attack, `{name: masking}`.
        alpha: The stated error rate over all rules that gate.
        ood: Other data sets by a name of one's own, each a file or folder as `stillhouse predict`
            takes it: of their rows the student should be less sure, which `ood/<name>` tells beside
            `ood/noise` and `ood/mixed`.
        life: Whether `alpha` is that of the model's whole life: each comparison with a champion is
            counted in the ledger and spends a part of it. Off: it is that of each decision alone.
    """

    rules: tuple[Mapping[str, Any], ...] = ()
    alpha: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05
    life: bool = False
    ood: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.ood:
            if not name.isidentifier() or name in judged.UNLIKE:
                raise SettingsError(
                    f"'{name}' cannot be a data set's name here.",
                    where="gate.ood",
                    fix="Use letters, digits and '_', and none of " + ", ".join(judged.UNLIKE),
                )


def run(job: Job) -> Metrics:
    """Write `gate/verdict.json`, which holds no clock, and what it was computed from.

    Returns:
        Counts of rules that gate: `gate/rules` (those that apply), `gate/passed`, `gate/undecided`,
            `gate/failed`.

    Raises:
        SettingsError: A rule asks for what this run does not measure.
        DataError: champion.json is missing, no test row has a target, a label is no class, or an
            answer is no number.
        SourceError: Another data set is missing, or its rows are others than the student takes.
    """
    settings, names = job.settings(Settings, "gate"), known(job.params)
    test, val = prepared.load(job.files, "test"), prepared.load(job.files, "val")
    task = task_of(test.schema)
    rules = parse(beside(settings.rules, task), names)
    for_task(rules, task)
    if not has_target(test.targets).any():
        raise DataError(
            "no test row has a target.",
            where="prepare/test.safetensors",
            fix="A gate needs labelled test rows.",
        )
    champion = ask_champion(job.files, test)
    moved, sliced = drifted(job.files, champion), judged.slices(job.files, val, test)
    found = replace(
        judged.outcomes(job.files, test.targets, champion, moved),
        task=task,
        point=judged.operating_point(job.files, val, champion),
        label_points=judged.label_points(job.files, val, champion),
        classes=test.schema.labels or test.schema.classes,
        slices={one.name: one.rows for one in sliced},
        unlike=judged.unlike_logits(job.files, test, judged.others(job, settings.ood, test.schema)),
    )
    judged.refuse_odd(found, test)
    frozen = champion.frozen(short_keys(test)) if champion.about else None
    alpha = champion.alpha(settings.alpha, life=settings.life)
    level = alpha / max(1, sum(decides(rule) for rule in rules))
    attacked = against(job, rules, champion, test, level, frozen=frozen is None)
    found = replace(found, versus=attacked.rows, unattacked=attacked.why_not)
    evidence = collect(
        found,
        {rule.metric for rule in rules},
        champion=champion.name,
        incomparable=champion.incomparable,
        frozen=frozen,
    )
    verdict = judge(rules, evidence, alpha, alarms=settings.alpha)
    about = {
        "student": student_fingerprint(job.files.workspace),
        "champion": champion.entry,
        "flips": changed(found, test, champion),
        "metrics": names,
        "drift": None if moved is None else moved.as_dict(),
        "slices": [told_slice(one, found, test) for one in sliced],
        "rows": champion.told_rows(frozen, len(test)),
        "life": champion.told_life(settings.alpha, life=settings.life),
    }
    if found.point is not None:
        about["operating_point"] = asdict(found.point)
    if found.label_points:
        about["label_points"] = dict(found.label_points)
    job.files.write_json("gate/verdict.json", {**verdict.as_dict(), **about})
    job.files.write_tensors(
        "gate/outcomes.safetensors", {**kept(found, champion), **attacked.kept()}
    )
    return _metrics(verdict)


def kept(found: Outcomes, champion: Champion) -> dict[str, Tensor]:
    """Return what the verdict was computed from and no other step keeps: the champion's answers,
    the rows of each slice, and the answers to rows unlike all others.
    """
    told = {} if champion.logits is None else {"champion_logits": champion.logits}
    told |= {f"slice/{at}": rows.to(torch.uint8) for at, rows in enumerate(found.slices.values())}
    return told | {f"unlike/{kind}": logits for kind, logits in found.unlike.items()}


def told_slice(one: Slice, found: Outcomes, test: Dataset) -> dict[str, Any]:
    """Return a slice with the numbers, in their source, of the test rows that went wrong in it."""
    inside = one.rows[found.known]
    wrong = inside & ~found.right(found.logits["student"])
    ids = test.rows[found.known]
    return {
        "name": one.name,
        "rows": int(inside.sum()),
        "right": int((inside & ~wrong).sum()),
        "val_rows": one.val_rows,
        "val_wrong": one.val_wrong,
        "wrong_rows": ids[wrong][:SHOWN].tolist(),
    }


def for_task(rules: Sequence[Rule], task: Task) -> None:
    """Refuse rules about what is not measured where this is predicted.

    Raises:
        SettingsError: There is one.
    """
    own = [name for name, metric in CATALOGUE.items() if task.name in metric.tasks]
    for at, rule in enumerate(rules):
        metric = find(rule.metric)
        if metric is not None and task.name not in metric.tasks:
            raise SettingsError(
                f"this is a {task.words}, which has no '{rule.metric}'.",
                where=f"gate.rules.{at}.metric",
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


def beside(specs: Sequence[Mapping[str, Any]], task: Task) -> tuple[Mapping[str, Any], ...]:
    """Return the rules with the one about drift and the alarms, where none is written: about slices
    that collapse, and, where a rule decides by an accuracy under attack, about masked gradients.

    A gate without rules is left without any, to be refused.
    """
    told = [spec for spec in specs if isinstance(spec, Mapping)]
    spoken = {str(spec.get(key)) for spec in told for key in ("name", "metric")}
    added: list[Mapping[str, Any]] = [] if DRIFT in spoken else [WATCHED]
    if task.right_or_wrong and not spoken & {"collapse", "slices/worst"}:
        added.append({"name": "collapse"})
    attacked = any(
        str(spec.get("metric")).startswith("robust/") and spec.get("gates", True) for spec in told
    )
    if task.decides and attacked and not spoken & {"masking", ALARMS}:
        added.append({"name": "masking"})
    return (*specs, *added) if specs else ()


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


def changed(found: Outcomes, test: Dataset, champion: Champion) -> dict[str, Any]:
    """Return the flips against the champion; all null where there is none, where it could not be
    asked, or where no answer is simply right or wrong.
    """
    if champion.logits is None or not found.task.right_or_wrong:
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
    labels = {case.label: case.ball.norm for case in [*cases, *transfers(cases)]}
    return known_metrics(labels, names, (params.get("gate") or {}).get("ood") or {})


def check(params: Mapping[str, Any]) -> None:
    """Check the section and every rule, against the attacks and corruptions that this run makes;
    nothing is read.
    """
    config.refuse_spaces(params.get("gate"), "gate")
    parse(config.build(Settings, params.get("gate"), where="gate").rules, known(params))


def sources(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the other data sets' files, by setting."""
    told = config.build(Settings, params.get("gate"), where="gate").ood
    return {f"ood.{name}": path for name, path in told.items()}


def fits(params: Mapping[str, Any], task: Task) -> None:
    """Refuse rules about what is not measured where this is predicted. Errors as `for_task`."""
    settings = config.build(Settings, params.get("gate"), where="gate")
    for_task(parse(beside(settings.rules, task), known(params)), task)


step = Step(
    name="gate",
    run=run,
    reads=READS,
    writes=WRITES,
    sections=("gate", "robustness"),
    check=check,
    sources=sources,
    fits=fits,
)
