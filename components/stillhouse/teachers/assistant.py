"""A teacher assistant: a net between the big teacher and the student, taught by the one and
teaching the other.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from stillhouse import config
from stillhouse.architectures.build import build_classifier
from stillhouse.config import Count, Seed, Share, Spec, Temperature
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import CLASSIFICATION, task_of
from stillhouse.models.access import accept
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Batch
from stillhouse.teachers.ask import ask
from stillhouse.teachers.fit import ADAMW, WEIGHTS, Fit
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.training.fit import fit
from stillhouse.training.objective import Objective, labelled_loss
from stillhouse.training.settings import FitSettings
from stillhouse.workspace import dump_tensors


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T² times the cross entropy of the student under the teacher's softened probabilities.

    Its gradient is that of distillation's divergence, from which it differs by the teacher's own
    entropy.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C].
        temperature: T > 0, dimensionless.

    Returns:
        Nats [B].

    Source:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.

    Example:
        >>> even = torch.zeros(1, 2)
        >>> round(soft_cross_entropy(even, even, 1.0).item(), 4)  # ln 2
        0.6931
    """
    wanted = (teacher / temperature).softmax(dim=-1)
    told = F.log_softmax(student / temperature, dim=-1)
    return -(wanted * told).sum(dim=-1) * temperature**2


class Taught(Objective):
    """What an assistant makes small: the labels' loss and the big teacher's.

    Args:
        answers: The big teacher's logits [N, C], in the order of the rows that `fit` is given.
        temperature: T.
        supervised: Share of the labels.
    """

    answers: Tensor

    def __init__(self, answers: Tensor, *, temperature: float, supervised: float) -> None:
        super().__init__()
        self.register_buffer("answers", answers, persistent=False)
        self.temperature, self.supervised = temperature, supervised

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        logits = model(batch.inputs)
        told = soft_cross_entropy(logits, self.answers[batch.rows], self.temperature).mean()
        own = labelled_loss(CLASSIFICATION, logits, batch)
        return self.supervised * own + (1 - self.supervised) * told


class Assistant(Teacher):
    """Distils a big teacher into a net of middle size here, which then teaches the student; only
    the net is stored, and the big teacher is asked once about each train row.

    It helps where the student is so much smaller that it cannot follow the big teacher. An `of` may
    be an assistant itself, which makes the chain longer; an architecture that is the big one's own
    makes the next generation of a born-again net.

    Args:
        of: The big teacher with its settings: `{name: onnx, path: big.onnx}`.
        architecture: The net in between: `{name: mlp, width: 128}`.
        temperature: At which the big teacher's probabilities are followed.
        supervised: Share of the labels in its loss.
        epochs: Passes over the train rows.
        batch: Rows a step.
        optimizer: `{name: adamw, lr: 0.003, weight_decay: 0.0001}`.
        seed: Of the weights and the order of rows.

    Source:
        Mirzadeh et al. 2020, "Improved knowledge distillation via teacher assistant",
        arXiv:1902.03393, section 3.
    """

    def __init__(
        self,
        *,
        of: Spec,
        architecture: Spec,
        temperature: Temperature = 4.0,
        supervised: Share = 0.1,
        epochs: Count = 60,
        batch: Count = 128,
        optimizer: Spec = ADAMW,
        seed: Seed = 0,
    ) -> None:
        self.name = str(of.get("name"))
        self.of: Teacher = config.plugin("teachers", of, where="teacher.of")
        # stored and recalled as any net that was trained here
        self.net = Fit(architecture=architecture, epochs=epochs, batch=batch, optimizer=optimizer)
        self.temperature, self.supervised = temperature, supervised
        self.settings = FitSettings(epochs=epochs, batch=batch, optimizer=optimizer, seed=seed)

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        schema, train = lesson.train.schema, lesson.train
        if task_of(schema).name != CLASSIFICATION.name:
            raise SettingsError(
                "an assistant follows probabilities, and "
                f"{'rows have several labels' if schema.labels else 'this is a quantity'}.",
                where="teacher.name",
                fix="Name the big teacher itself.",
            )
        accept(self.name, self.of.accepts, schema.kind)
        answers = self._ask_big(lesson, train)
        settings = replace(self.settings, seed=self.settings.seed + lesson.seed)
        model = build_classifier(
            self.net.architecture,
            schema,
            Normalize.fit(train.inputs, schema),
            settings.seed,
            "teacher.architecture",
        )
        fitted = fit(
            model,
            Taught(answers, temperature=self.temperature, supervised=self.supervised),
            train,
            lesson.val,
            settings,
            checkpoint=lesson.scratch / "assistant.safetensors",
            progress=lesson.progress,
        )
        return {WEIGHTS: dump_tensors(fitted.model.state_dict())}

    def _ask_big(self, lesson: Lesson, train: Dataset) -> Tensor:
        scratch = lesson.scratch / "of"
        big = self.of.recall(self.of.learn(replace(lesson, scratch=scratch)), train.schema)
        big.keep_in(scratch / "answers")
        big.require_money(big.unpaid(train.inputs))
        return ask(big, train, where="teacher.of, on train")

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        return self.net.recall(files, schema)
