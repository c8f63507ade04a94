"""Examine the student under attack and corruption; the exported file has the last word on every
row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import nn

from stillhouse import config
from stillhouse.attacks.attack import FOLLOWED
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.space import Space
from stillhouse.config import Count, Positive, Seed, Spec
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset, known
from stillhouse.data.schema import Schema
from stillhouse.edge.session import Session
from stillhouse.errors import DataError, SettingsError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.multi_label import MultiLabel
from stillhouse.evaluation.tasks import Regression, Task, task_of
from stillhouse.gating.foreseen import asked_under_attack, most_failing
from stillhouse.gating.settings import parse
from stillhouse.params import parse as parsed
from stillhouse.robustness.beside import Beside, beside
from stillhouse.robustness.case import make_cases
from stillhouse.robustness.kept import Kept
from stillhouse.robustness.misses import missed
from stillhouse.robustness.probe import Bar, Probed, probe
from stillhouse.robustness.pushed import pushed
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.suite import Findings, Progress, Suite, examine
from stillhouse.robustness.turned import turned
from stillhouse.steps import siblings
from stillhouse.steps.examined import chosen_cases, chosen_corruptions
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.steps.student import PLAIN, load_plain, load_student
from stillhouse.steps.student import READS as STUDENT
from stillhouse.teachers.recall import recall
from stillhouse.workspace import StepFiles, sha256

READS = (
    *STUDENT,
    PLAIN,
    *siblings.READS,
    "export/student.onnx",
    "teacher/model",
    "teacher/teacher.json",
    "prepare/train.safetensors",
    "prepare/test.safetensors",
)
WRITES = ("robustness.json", "outcomes.safetensors")


@dataclass(frozen=True)
class Settings:
    """The section `robustness`.

    Attributes:
        attacks: Each a plugin with `norm` (linf, l2, l1, l0, patch, geometry, category, channels,
            drift, skew, of which it takes some), `epsilon` (a number, or one for each column in its
            own units) and its own knobs; null: PGD, linf, 0.1, if it takes such rows.
        corruptions: Plugins; null: blur, contrast and noise of images, drift, dropout and noise of
            series, noise of tables and missing cells where they may be.
        rows: At most so many test rows, drawn by `seed`; null: all.
        tolerance: Of a quantity, in its unit: an answer that is further off under attack counts as
            fooled; only PGD attacks a quantity, and none does without it.
        stop: Where a rule of `gate` that decides bounds accuracy under attack, try cheap attacks
            first, a few rows at a time, and make none of the others as soon as it is foreseen that
            the rule will fail. Rules that are only watched stop nothing.
        delta: How often, at most, a failure may be foreseen that would not have come.
        seed: Of starts, noise and drawn rows.
    """

    attacks: list[Spec] | None = None
    corruptions: list[Spec] | None = None
    rows: Count | None = None
    tolerance: Positive | None = None
    stop: bool = True
    delta: Annotated[float, Interval(gt=0, lt=0.5)] = 0.01
    seed: Seed = 0


def run(job: Job) -> Metrics:
    """Write what the student withstands, row by row.

    Returns:
        `robust/clean/accuracy`, `robust/<label>/accuracy`, `robust/<norm>/accuracy` (rows that
        withstand every attack of that norm), `corruption/<name>/accuracy` and `/ece` (means over
        severities), `corruption/mean_accuracy`, `corruption/mean_ece`; beside a student that was
        trained against attacks `plain/clean/accuracy` and `plain/<norm>/accuracy`. Of a quantity
        `corruption/<name>/mae`, `corruption/mean_mae`, `worst_mae` (of one severity) and
        `relative_mae` (the mean as a multiple of the error on the rows as they are), and with a
        tolerance `robust/<label>/mae` and `robust/<label>/within`. Of several labels a row
        `robust/…/exact_match` and `corruption/…/exact_match`: rows of which every label stays
        right.

    Raises:
        UsageError: An attack or corruption that is named in params.yaml does not take such rows, or
            needs a teacher with gradients.
        DataError: It is led by a sibling that was not kept.
    """
    settings = job.settings(Settings, "robustness")
    train, test = prepared.load(job.files, "train"), prepared.load(job.files, "test")
    rows = drawn(test, settings.rows, settings.seed)
    chosen = test.take(rows)
    deployed = Session(job.files.read_bytes("export/student.onnx"))
    space = Space.of(test.schema, train.inputs)
    subject = Subject(
        load_student(job.files),
        deployed.logits,
        chosen.inputs,
        chosen.targets,
        space,
        settings.seed,
    )
    if isinstance(task := task_of(test.schema), Regression):
        return _of_quantity(job, settings, subject, task, rows)
    if isinstance(task, MultiLabel):
        return _of_labels(job, settings, subject, rows)
    teacher, why = surrogate(job.files, test.schema)
    asked = suite(settings, test.schema, teacher, why)
    asked = replace(asked, cases=siblings.led(asked.cases, job.files, teacher, why))
    probes = probed(bars(job.params, len(chosen)), asked, subject, job.progress)
    stopped = next((one for one in probes if one.fails), None)
    kept = Kept(job.files.workspace, identity(job, settings))
    whole = replace(asked, done=[one.result() for one in probes], keep=kept.keep)
    found = (
        examine(subject, whole, job.progress)
        if stopped is None
        else not_started(asked, stopped, subject)
    )
    told: dict[str, Any] = {
        **found.as_dict(settings.seed),
        "positions": rows.tolist() if len(rows) < len(test) else None,
    }
    plain = None if stopped else plain_beside(job, subject, asked)
    if plain is not None:
        told["beside"] = {"plain": plain.as_dict()}
    if probes:
        told["probes"] = [one.as_dict() for one in probes]
    job.files.write_json("robustness/robustness.json", told)
    seen = {f"probe/{one.bar.norm}": one.still.to(torch.uint8) for one in probes}
    job.files.write_tensors("robustness/outcomes.safetensors", {**found.outcomes(), **seen})
    kept.forget()
    return found.metrics() | ({} if plain is None else plain.metrics())


def identity(job: Job, settings: Settings) -> str:
    """Return what the outcome of an attack hangs on beside the attack itself: what was read, the
    rows that were drawn, the seed, and the code as it was locked.
    """
    files, lock = job.files, job.root / "code.lock.json"
    read = [name for name in READS if files.path(name).exists()]
    code = parsed(lock.read_text(), where=lock.name) if lock.is_file() else {}
    told = [(name, sha256(files.path(name))) for name in read]
    return json.dumps(
        [told, settings.rows, settings.seed, (code.get("steps") or {}).get("robustness")]
    )


def plain_beside(job: Job, subject: Subject, asked: Suite) -> Beside | None:
    """Return what the student withstands that was trained without attacks; None where there is
    none.
    """
    model = load_plain(job.files)
    if model is None:
        return None
    job.progress(0, 1, "the plain student")

    def answer(inputs: torch.Tensor) -> torch.Tensor:
        return logits_of(model, inputs)

    return beside(replace(subject, model=model, answer=answer), asked.cases, asked.surrogate)


def bars(params: Mapping[str, Any], rows: int) -> list[Bar]:
    """Return what rules that decide ask for under attack, each with the count at which it fails;
    none where the suite may not be stopped.

    Args:
        params: All of them: the rules stand under `gate`.
        rows: That are examined.
    """
    settings = config.build(Settings, params.get("robustness"), where="robustness")
    told = under_attack(params) if settings.stop else {}
    return [
        Bar(norm, bound, most_failing(rows, bound, level), settings.delta)
        for norm, (bound, level) in sorted(told.items())
    ]


def under_attack(params: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return bound and level by norm of the rules that decide; none where `gate` cannot be read,
    which its own check tells.
    """
    gate = params.get("gate") or {}
    rules = gate.get("rules") or ()
    return asked_under_attack(parse(rules), float(gate.get("alpha", 0.05))) if rules else {}


def watermarks(params: Mapping[str, Any], root: Path) -> dict[str, str]:  # noqa: ARG001 - a step's signature
    """Return the rules that may stop the suite, so that changing one of them makes it stale, and
    changing any other rule does not.
    """
    settings = config.build(Settings, params.get("robustness"), where="robustness")
    told = under_attack(params) if settings.stop else {}
    return {"gate.rules": json.dumps(told, sort_keys=True)} if told else {}


def probed(
    asked: Sequence[Bar], suite: Suite, subject: Subject, progress: Progress
) -> list[Probed]:
    """Return how far cheap attacks came against each bar that the suite attacks at all, and no
    further than the first that is foreseen to be missed.
    """
    done: list[Probed] = []
    for bar in asked:
        balls = [case.ball for case in suite.cases if case.ball.norm == bar.norm]
        if bar.norm in FOLLOWED and balls and not any(one.fails for one in done):
            largest = max(balls, key=lambda ball: ball.epsilon)
            done.append(probe(bar, largest, subject, progress))
    return done


def not_started(suite: Suite, stopped: Probed, subject: Subject) -> Findings:
    """Return what is known without the suite: the clean rows, and why nothing else is."""
    why = (
        f"not started: after {len(stopped.order)} of {stopped.total} rows cheap attacks settled "
        f"that accuracy under {stopped.bar.norm} does not reach {stopped.bar.bound:g}."
    )
    names = [*(case.label for case in suite.cases), *suite.corruptions]
    missing = [*suite.not_measured, *({"name": name, "reason": why} for name in names)]
    return Findings(subject.right(subject.inputs), [], [], [], [], missing)


def _of_quantity(
    job: Job, settings: Settings, subject: Subject, task: Regression, rows: torch.Tensor
) -> Metrics:
    """Write how much larger errors become under corruption and under attack."""
    test, why = prepared.load(job.files, "test"), task.why_no_decision
    asked = suite(settings, test.schema, None, why)
    found = missed(subject, task, asked.corruptions)
    cases = asked.cases if settings.tolerance is not None else ()
    moved = [pushed(case, subject, task, float(settings.tolerance or 0)) for case in cases]
    left = [] if cases else [{"name": case.label, "reason": _NO_TOLERANCE} for case in asked.cases]
    none = Findings(torch.zeros(0, dtype=torch.bool), [], [], [], [], [])
    told = {
        **none.as_dict(settings.seed),
        **found.as_dict(settings.seed),
        "pushed": [one.as_dict(settings.seed) for one in moved],
        "rows": len(rows),
        "not_measured": [*asked.not_measured, *left],
        "positions": rows.tolist() if len(rows) < len(test) else None,
    }
    job.files.write_json("robustness/robustness.json", told)
    seen = {f"push/{one.case.label}": one.errors.float() for one in moved}
    seen |= {f"within/{one.case.label}": one.within.to(torch.uint8) for one in moved}
    job.files.write_tensors("robustness/outcomes.safetensors", {**found.outcomes(), **seen})
    return found.metrics() | {name: at for one in moved for name, at in one.metrics().items()}


def _of_labels(job: Job, settings: Settings, subject: Subject, rows: torch.Tensor) -> Metrics:
    """Write on which rows every label stays right under corruption and under attack."""
    test = prepared.load(job.files, "test")
    asked = suite(settings, test.schema, None, "")
    job.progress(0, 1, "labels under attack and corruption")
    found = turned(subject, asked.cases, asked.corruptions)
    none = Findings(torch.zeros(0, dtype=torch.bool), [], [], [], [], [])
    told = {
        **none.as_dict(settings.seed),
        **found.as_dict(settings.seed),
        "not_measured": list(asked.not_measured),
        "positions": rows.tolist() if len(rows) < len(test) else None,
    }
    job.files.write_json("robustness/robustness.json", told)
    job.files.write_tensors("robustness/outcomes.safetensors", found.outcomes())
    return found.metrics()


_NO_TOLERANCE = "robustness.tolerance does not say how far off an answer may be."


def drawn(test: Dataset, most: int | None, seed: int) -> torch.Tensor:
    """Return the positions of the labelled test rows that are examined, rising; all of them, or
    `most` drawn by `seed`.

    Raises:
        DataError: No test row has a target.
    """
    labelled = torch.nonzero(known(test.targets)).flatten()
    if not len(labelled):
        raise DataError(
            "no test row has a target.",
            where="prepare/test.safetensors",
            fix="Robustness needs labelled test rows.",
        )
    if most is None or most >= len(labelled):
        return labelled
    order = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(seed))
    return labelled[order[:most].sort().values]


def surrogate(files: StepFiles, schema: Schema) -> tuple[nn.Module | None, str]:
    """Return the teacher as a torch model, or None and why it is none."""
    oracle = recall(files, schema)
    if oracle.module is None or "gradients" not in oracle.gives:
        name = files.read_json("teacher/teacher.json")["name"]
        return None, f"the teacher '{name}' gives no gradients."
    return oracle.module, ""


def suite(settings: Settings, schema: Schema, teacher: nn.Module | None, why: str) -> Suite:
    """Return what is examined: what the settings name, or the defaults that take such rows.

    Raises:
        UsageError: What the settings name does not take such rows.
    """
    cases, no_cases = chosen_cases(settings.attacks, schema)
    corruptions, no_corruptions = chosen_corruptions(settings.corruptions, schema)
    return Suite(cases, corruptions, teacher, why, [*no_cases, *no_corruptions])


def check(params: Mapping[str, Any]) -> None:
    """Check the section, every attack and every corruption by its own signature; nothing is read.

    Raises:
        SettingsError: A setting is unknown, of a wrong type or out of bounds, a norm unknown, a
            corruption named twice, or a search space stands here.
        PluginNotFound: No attack or corruption has that name.
    """
    config.refuse_spaces(params.get("robustness"), "robustness")
    settings = config.build(Settings, params.get("robustness"), where="robustness")
    cases = make_cases(settings.attacks or (), "robustness.attacks")
    siblings.require_known(cases, params, "robustness.attacks")
    seen: set[str] = set()
    for at, spec in enumerate(settings.corruptions or ()):
        config.check_spec("corruptions", spec, where=f"robustness.corruptions.{at}")
        if spec["name"] in seen:
            raise SettingsError(
                f"'{spec['name']}' is named twice.",
                where=f"robustness.corruptions.{at}",
                fix="Leave one of them.",
            )
        seen.add(str(spec["name"]))


def fits(params: Mapping[str, Any], task: Task) -> None:
    """Refuse attacks on a quantity without a tolerance, others than PGD on quantities and labels,
    and a tolerance where classes or labels are told.

    Raises:
        SettingsError: There are.
    """
    settings = config.build(Settings, params.get("robustness"), where="robustness")
    if task.right_or_wrong and settings.tolerance is not None:
        what = "classes" if task.decides else "labels"
        raise SettingsError(
            f"{what} are right or wrong, and never within a tolerance.",
            where="robustness.tolerance",
            fix="Leave it out.",
        )
    if task.decides:
        return
    for at, case in enumerate(make_cases(settings.attacks or (), "robustness.attacks")):
        if settings.tolerance is None and not task.right_or_wrong:
            raise SettingsError(
                f"{task.why_no_decision}, so that an attack needs to know how far off is too far.",
                where="robustness.tolerance",
                fix="Write it in the target's unit, such as tolerance: 10, or leave attacks out; "
                "corruptions are measured by the error that they add.",
            )
        if not isinstance(case.attack, PGD):
            raise SettingsError(
                f"'{case.name}' turns decisions, and {task.why_no_decision}.",
                where=f"robustness.attacks.{at}.name",
                fix="Use pgd, which turns the weakest label."
                if task.right_or_wrong
                else "Use pgd, which climbs the squared error of a quantity.",
            )


step = Step(
    name="robustness",
    run=run,
    reads=READS,
    writes=WRITES,
    sections=("robustness",),
    check=check,
    watermarks=watermarks,
    fits=fits,
)
