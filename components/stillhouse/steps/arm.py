"""Train one arm once: what `tune` does in every trial and `distill` for every seed, so that both
mean the same by an arm.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config, plugins
from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import Arm, fit_settings, objective, rows_of, section_of
from stillhouse.distillation.controls import LABELS_ONLY
from stillhouse.distillation.live import Pair
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import KD
from stillhouse.distillation.objective import refuse_task
from stillhouse.distillation.selector import Selector
from stillhouse.distillation.settings import corners, read
from stillhouse.errors import DataError, SettingsError, UsageError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import Task, task_of
from stillhouse.evaluation.weights import class_weights
from stillhouse.knowledge.store import reopen
from stillhouse.models.access import accept, require
from stillhouse.models.device import CPU
from stillhouse.models.macs import macs
from stillhouse.models.normalize import Normalize
from stillhouse.steps.step import Progress, silent
from stillhouse.teachers.recall import recall
from stillhouse.training.fit import Fitted, fit
from stillhouse.training.fleet_state import Member
from stillhouse.training.randomness import own_random_state
from stillhouse.workspace import StepFiles, dump_json, sha256

READS = (
    "prepare/train.safetensors",
    "prepare/val.safetensors",
    "prepare/schema.json",
    "teacher/model",
    "teacher/teacher.json",
    "knowledge/store",
)
PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Material:
    """What the arms learn from.

    Attributes:
        picked: The N train rows that arms may see, labelled or not.
        val: For choosing; only its labelled rows count.
        answers: The teacher's logits for `seen`, [V × N, C].
        teacher: The teacher itself, if it is a torch model: methods that look at features ask it in
            every batch.
        views: All views of `picked`, one after another, V × N rows; None where there is one.
        softened: The temperature at which alone the answers may be learned from; None: any.
        features: The teacher's features of `seen` that are stored, [V × N, …] by tap.
        device: Where the arms are trained.
        decided: The class that the teacher decides for in each row of `seen` [V × N], where the
            answers do not say it.
    """

    picked: Dataset
    val: Dataset
    answers: Tensor
    teacher: nn.Module | None = None
    views: Dataset | None = None
    softened: float | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    device: torch.device = CPU
    decided: Tensor | None = None

    @property
    def decisions(self) -> Tensor:
        """The class that the teacher decides for in each row of `seen`, [V × N]."""
        return self.answers.argmax(dim=1) if self.decided is None else self.decided

    @property
    def seen(self) -> Dataset:
        """What is trained on: every view of the picked rows."""
        return self.picked if self.views is None else self.views

    def sharing(self, synthetic: float | None) -> "Material":
        """Return this with so many changed rows for each picked one, of those that the teacher was
        asked about: whole views first, and of the next one rows drawn from a fixed seed.

        Args:
            synthetic: 0 to V − 1; None: all.

        Raises:
            SettingsError: There are not so many.
        """
        rows = len(self.picked)
        most = len(self.seen) // rows - 1
        if synthetic is None or synthetic == most:
            return self
        if synthetic > most:
            raise SettingsError(
                f"{synthetic:g} changed rows a row are asked for, and the teacher was asked about "
                f"{most}.",
                where="distill.synthetic",
                fix="Raise knowledge.views, or lower it.",
            )
        whole = int(synthetic) + 1
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(whole))
        part = order[: round((synthetic - int(synthetic)) * rows)].sort().values
        kept = torch.cat([torch.arange(whole * rows), whole * rows + part])
        features = {name: each[kept] for name, each in self.features.items()}
        return replace(
            self,
            views=self.seen.take(kept),
            answers=self.answers[kept],
            features=features,
            decided=None if self.decided is None else self.decided[kept],
        )

    @property
    def gives(self) -> frozenset[str]:
        """What the teacher gives while the student trains: its stored answers, and its features and
        gradients if it can be looked into.
        """
        live = frozenset[str]() if self.teacher is None else frozenset({"features", "gradients"})
        return frozenset({"logits"}) | live

    @classmethod
    def read(cls, files: StepFiles, device: torch.device = CPU) -> "Material":
        """Return it as the steps before have left it, for arms that are trained on a device.

        Raises:
            DataError: No val row has a label, so that nothing can be chosen.
            Corrupt: The teacher's answers are not those that were stored.
            UsageError: They are stale: of another teacher or of other rows.
        """
        picked, val = prepared.picked(files), prepared.load(files, "val").labelled
        if not len(val):
            raise DataError(
                "no row of val has a label, so that no setting can be chosen.",
                where="prepare/val.safetensors",
                fix="Raise prepare.split.val.",
            )
        oracle = recall(files, picked.schema, device)
        knowledge = reopen(files, picked)
        return cls(
            picked,
            val,
            knowledge.every(files.scratch),
            oracle.module if "features" in oracle.gives else None,
            knowledge.views.all(picked) if knowledge.views.count > 1 else None,
            knowledge.keep.temperature,
            knowledge.features(files.scratch),
            device,
            knowledge.decided(),
        )


def member(
    arm: Arm,
    section: Mapping[str, Any],
    *,
    seed: int,
    material: Material,
    normalize: Normalize | None = None,
) -> tuple[Member, Dataset]:
    """Return what is to be trained once for an arm, and the rows that it learns from.

    `none` and `smooth` see the labelled rows only, and nothing of the others, not even their mean;
    they go through them more often, until the steps are equal. Of augmented views they see those
    in which a label still holds.

    Args:
        arm: `student` or a control.
        section: `distill` without search spaces.
        seed: Of the weights, the order of the rows and the objective's own parameters.
        material: What to learn from.
        normalize: As `normalization` returns it, where it is known already.

    Raises:
        SettingsError: The section does not fit.
        UsageError: The architecture does not take such rows, the method needs more than the teacher
            gives, or a model has no such tap.
    """
    own = section_of(arm, section)
    settings, budget = read(own), fit_settings(own, len(material.picked), seed)
    fitted = normalization(arm, material) if normalize is None else normalize
    material = material.sharing(settings.synthetic)
    rows = rows_of(arm, material.seen)
    model = build_classifier(settings.student, rows.schema, fitted, seed, "distill.student")
    model.to(material.device)
    with own_random_state(seed):
        loss = objective(
            arm,
            own,
            None if arm in LABELS_ONLY else material.answers,
            pair=Pair(model, material.teacher, rows, budget.steps or 0, material.features),
            rows=len(material.picked),
            task=task_of(rows.schema),
            weights=class_weights(settings.class_weights, rows, "distill.class_weights"),
            decided=material.decided,
        )
    return Member(model, loss, budget), rows


def normalization(arm: Arm, material: Material) -> Normalize:
    """Return the encoder of the rows that an arm may see, those of the first view."""
    plain = rows_of(arm, material.picked)
    return Normalize.fit(plain.inputs, plain.schema)


def train(
    arm: Arm,
    section: Mapping[str, Any],
    *,
    seed: int,
    material: Material,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Train an arm once.

    Args:
        arm: `student` or a control.
        section: `distill` without search spaces.
        seed: Of the weights, the order of the rows and the objective's own parameters.
        material: What to learn from.
        checkpoint: A file that lets a killed training go on to the same bits.
        progress: Called with (epochs done, all epochs, a note).

    Raises:
        TrainingFailed: The loss is not a number; the rows are named. Others as `member`.
    """
    own, rows = member(arm, section, seed=seed, material=material)
    return fit(
        own.model,
        own.objective,
        rows,
        material.val,
        own.settings,
        checkpoint=checkpoint,
        progress=progress,
    )


def measure(model: nn.Module, material: Material) -> dict[str, float]:
    """Return what a trial can aim at: val metrics, and the model's size."""
    logits = logits_of(model, material.val.inputs)
    found = task_of(material.val.schema).scores(logits, material.val.targets)
    scores = {f"val/{name}": score for name, score in found.items()}
    return {
        **scores,
        "student/parameters": float(parameters(model)),
        "student/macs": float(macs(model, material.val.schema.shape)),
    }


def require_task(section: Mapping[str, Any], task: Task) -> None:
    """Refuse a method or a selector, in whatever corner of the search space, that means nothing
    where this is predicted.

    Raises:
        UsageError: It does not.
    """
    for corner in corners(section, "distill"):
        settings = read(corner)
        method: Method = config.plugin("methods", settings.method, where="distill.method")
        chosen: Selector = config.plugin("selectors", settings.selector, where="distill.selector")
        refuse_task(method, chosen, task)


def require_access(section: Mapping[str, Any], material: Material) -> None:
    """Refuse a method, in whatever corner of the search space, that the data or the teacher cannot
    serve.

    Raises:
        UsageError: It needs features of a teacher that is no torch model, or gradients, or takes
            other rows.
    """
    require_task(section, task_of(material.picked.schema))
    for corner in corners(section, "distill"):
        settings = read(corner)
        spec = settings.method
        method: Method = config.plugin("methods", spec, where="distill.method")
        chosen: Selector = config.plugin("selectors", settings.selector, where="distill.selector")
        accept(spec["name"], method.accepts, material.picked.schema.kind)
        require(spec["name"], method.needs, "the teacher's stored answers", material.gives)
        _require_softened(method, spec["name"], material.softened)
        _require_whole(chosen, settings.selector["name"], material.softened)


def _require_softened(method: Method, name: str, temperature: float | None) -> None:
    """Answers that were sampled are right on average in cross entropy alone, and only as soft as
    they were drawn.
    """
    plain = isinstance(method, KD) and not method.standardize
    if temperature is None or (plain and method.temperature == temperature):
        return
    raise UsageError(
        f"the answers were sampled at the temperature {temperature:g}, and '{name}' would learn "
        "from them otherwise.",
        where="distill.method",
        fix=f"Write method: {{name: kd, temperature: {temperature:g}}}, set knowledge.temperature "
        "to the method's, or knowledge.keep: all.",
    )


def _require_whole(selector: Selector, name: str, temperature: float | None) -> None:
    """A sample of an answer says neither how sure the teacher is nor what it decides."""
    if temperature is None or not selector.hears:
        return
    raise UsageError(
        f"the answers were sampled, and the selector '{name}' looks at whole ones.",
        where="distill.selector",
        fix="Write selector: {name: all}, or knowledge.keep: all.",
    )


def key(files: StepFiles) -> str:
    """Return a hash of all that trainings depend on beside their settings, so that kept work of
    other data or code is never taken for this one's.
    """
    found = {name: sha256(files.path(name)) for name in READS}
    return hashlib.sha256(
        dump_json({"files": found, "code": code(), "torch": torch.__version__})
    ).hexdigest()


def keyed(data: str, settings: object) -> str:
    """Return a hash of a `key` and of settings, JSON."""
    return hashlib.sha256(dump_json([data, settings])).hexdigest()


def code() -> str:
    """Return a hash of our own sources and of the plugins that params.yaml names."""
    ours = {str(path.relative_to(PACKAGE)): sha256(path) for path in sorted(PACKAGE.rglob("*.py"))}
    theirs = {name: sha256(path) for name, path in plugins.user_files().items()}
    return hashlib.sha256(dump_json([ours, theirs])).hexdigest()
