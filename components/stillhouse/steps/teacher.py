"""Make the teacher ready, say how good it is, and stop where a student of it would not be worth
training.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from stillhouse import config, plugins
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError, TeacherBelowGate, nearest
from stillhouse.evaluation.tasks import CLASSIFICATION, MULTI_LABEL, Regression, Task, task_of
from stillhouse.models.access import accept
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.teachers import recall
from stillhouse.teachers.ask import ask, require_answers
from stillhouse.teachers.probe import Job as Whole
from stillhouse.teachers.probe import probe
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher

READS = (
    "prepare/withheld.safetensors",
    "prepare/train.safetensors",
    "prepare/val.safetensors",
    "prepare/test.safetensors",
    "prepare/schema.json",
    "validate/verdict.json",
)
GATED = tuple(
    f"{split}/{metric}"
    for split in ("val", "test")
    for metric in (*CLASSIFICATION.gated, *Regression().gated, *MULTI_LABEL.gated)
)


@dataclass(frozen=True)
class Gate:
    """What a teacher must reach.

    Attributes:
        metric: `val/accuracy`, `val/balanced_accuracy`, of a quantity `val/rmse`, `val/mae` or
            `val/r2`, of several labels a row `val/map`, `val/exact_match`, `val/hamming_loss`,
            `val/micro_f1`, `val/macro_f1` or `val/macro_auc`; or the same of test.
        at_least: The smallest value that passes.
        at_most: The largest one; exactly one of the two is set.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> float:
        """Whichever is set."""
        return float(self.at_least if self.at_least is not None else self.at_most or 0.0)


@dataclass(frozen=True)
class Settings:
    """The section `teacher`: a teacher plugin with its own settings, and a gate beside them.

    Attributes:
        spec: `{name: fit, …}` without the gate.
        gate: None lets every teacher through.
    """

    spec: dict[str, Any]
    gate: Gate | None


def settings(params: Mapping[str, Any]) -> Settings:
    """Return the section, checked but for the plugin's own settings.

    Raises:
        SettingsError: There is no teacher, a search space stands here, or the gate is none.
        PluginNotFound: There is no such teacher.
    """
    section = params.get("teacher")
    config.refuse_spaces(section, "teacher")
    config.split_spec("teachers", section, where="teacher")
    spec = {key: value for key, value in (section or {}).items() if key != "gate"}
    asked = (section or {}).get("gate")
    if asked is None:
        return Settings(spec, None)
    if not isinstance(asked, Mapping):
        raise SettingsError(
            f"a gate is a mapping, not {asked!r}.",
            where="teacher.gate",
            fix="Write {metric: val/accuracy, at_least: 0.9}, or null for none.",
        )
    gate = config.build(Gate, asked, where="teacher.gate")
    if gate.metric not in GATED:
        raise SettingsError(
            f"there is no metric '{gate.metric}' for a teacher's gate.",
            where="teacher.gate.metric",
            fix=nearest(gate.metric, list(GATED)),
        )
    _check_bound(gate)
    return Settings(spec, gate)


def _check_bound(gate: Gate) -> None:
    if (gate.at_least is None) == (gate.at_most is None):
        raise SettingsError(
            "the gate needs exactly one of at_least and at_most.",
            where="teacher.gate",
            fix="Write {metric: val/accuracy, at_least: 0.9} or {metric: val/rmse, at_most: 20}.",
        )
    share = "accuracy" in gate.metric or gate.metric.partition("/")[2] in MULTI_LABEL.gated
    if share and not 0 <= gate.bound <= 1:
        raise SettingsError(
            f"the bound {gate.bound:g} is no share.",
            where=f"teacher.gate.{'at_most' if gate.at_least is None else 'at_least'}",
            fix="Shares are 0 to 1: write 0.9 for 90 %.",
        )


def check(params: Mapping[str, Any]) -> None:
    """Check the section; the plugin is made, which checks what its settings name in turn, and no
    file is read.
    """
    config.plugin("teachers", settings(params).spec, where="teacher")


def sources(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that the teacher's settings name, and those of teachers inside them, by
    setting.
    """
    return _files(settings(params).spec, "")


def _files(spec: Mapping[str, Any], place: str) -> dict[str, str]:
    name, rest = config.split_spec("teachers", spec, where="teacher")
    found = {
        f"{place}{setting}": path
        for setting, path in config.input_files(plugins.load("teachers", name), rest).items()
    }
    members = rest.get("members")
    for at, member in enumerate(members if isinstance(members, list | tuple) else ()):
        found |= _files(member, f"{place}members.{at}.")
    return found | (_files(rest["of"], f"{place}of.") if "of" in rest else {})


def run(job: Job) -> Metrics:
    """Write the teacher, its answers to val and test, and their evaluation.

    Returns:
        `val/accuracy`, `test/accuracy` and so on for balanced_accuracy, nll, brier and ece.

    Raises:
        TeacherBelowGate: It misses its gate; nothing is kept.
        SourceError: A file of its settings is missing or no teacher of these classes, or it has no
            finite answer for a row; the row is named.
    """
    asked = settings(job.params)
    teacher: Teacher = config.plugin("teachers", asked.spec, where="teacher")
    train, val, test = (
        prepared.withheld(job.files),
        prepared.load(job.files, "val"),
        prepared.load(job.files, "test"),
    )
    accept(asked.spec["name"], teacher.accepts, train.schema.kind)
    device = job.device
    made = teacher.learn(Lesson(train, val, job.root, job.files.scratch, 0, job.progress, device))
    oracle = teacher.recall(made, train.schema)
    oracle.to(device)
    oracle.keep_in(job.files.workspace.hidden / recall.KEPT)
    picked = prepared.picked(job.files)
    require_answers(oracle, picked, where="teacher, on train")
    _probe(oracle, (val, test, picked), job)
    answers = {
        "val": ask(oracle, val, where="teacher, on val"),
        "test": ask(oracle, test, where="teacher, on test"),
    }
    found = _evaluate(answers, {"val": val, "test": test})
    task = task_of(train.schema)
    metrics = {**task.points("val", found["val"]), **task.points("test", found["test"])}
    gate = _judge(asked.gate, metrics)
    recall.store(job.files, made)
    job.files.write_json(
        "teacher/teacher.json",
        {
            **_about(asked.spec, oracle),
            "fingerprint": recall.fingerprint(asked.spec, made),
            "gate": gate,
        },
    )
    job.files.write_tensors(
        "teacher/outcomes.safetensors",
        {f"{split}_logits": logits for split, logits in answers.items()},
    )
    job.files.write_json("teacher/evaluation.json", found)
    return metrics


def _probe(oracle: Oracle, asked: tuple[Dataset, Dataset, Dataset], job: Job) -> None:
    """Look before the whole job; tell what it will take where that is money, minutes or doubt."""
    val, test, picked = asked
    views = (job.params.get("knowledge") or {}).get("views") or 1
    whole = Whole(
        len(val) + len(test) + views * len(picked),
        sum(oracle.unpaid(part.inputs) for part in asked)
        + (views - 1) * (oracle.asks * len(picked) if oracle.usd_per_row else 0),
    )
    found = probe(oracle, val, whole, job.clock)
    if found.notable:
        job.told(found.sentence)
    job.timing["probe/job_seconds"] = round(found.seconds, 3)


def _evaluate(
    answers: Mapping[str, Tensor], splits: Mapping[str, Dataset]
) -> dict[str, dict[str, Any]]:
    return {
        split: task_of(dataset.schema).report(answers[split], dataset.targets, dataset.schema)
        for split, dataset in splits.items()
    }


def _about(spec: Mapping[str, Any], oracle: Oracle) -> dict[str, Any]:
    return {
        "name": spec["name"],
        "spec": dict(spec),
        "architecture": spec.get("architecture"),
        "parameters": oracle.parameters,
        "gives": sorted(oracle.gives),
    }


def _judge(gate: Gate | None, metrics: Metrics) -> dict[str, Any] | None:
    if gate is None:
        return None
    if gate.metric not in metrics:
        raise SettingsError(
            f"a teacher of this target has no '{gate.metric}'.",
            where="teacher.gate.metric",
            fix=nearest(gate.metric, list(metrics)),
        )
    observed, most = metrics[gate.metric], gate.at_most is not None
    if observed > gate.bound if most else observed < gate.bound:
        side = "above" if most else "below"
        said = f"the teacher's {gate.metric} is {observed:.4f}, {side} {gate.bound:g}."
        raise TeacherBelowGate(
            said,
            where="teacher.gate",
            fix="Bring a better teacher, or lower the gate (null: none).",
        )
    asked = {key: value for key, value in asdict(gate).items() if value is not None}
    return {**asked, "observed": observed, "passed": True}


def fits(params: Mapping[str, Any], task: Task) -> None:
    """Refuse a gate on a metric that this task has not.

    Raises:
        SettingsError: It is one.
    """
    gate = settings(params).gate
    own = [f"{split}/{name}" for split in ("val", "test") for name in task.scalars]
    if gate is not None and gate.metric not in own:
        raise SettingsError(
            f"this is a {task.words}, whose teacher has no '{gate.metric}'.",
            where="teacher.gate.metric",
            fix=nearest(gate.metric, own),
        )


step = Step(
    name="teacher",
    run=run,
    reads=READS,
    writes=("model", "teacher.json", "outcomes.safetensors", "evaluation.json"),
    sections=("teacher",),
    check=check,
    sources=sources,
    fits=fits,
)
