"""Several teachers that answer as one: the average of their probabilities, or of their values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.config import Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError
from stillhouse.evaluation.metrics import accuracy
from stillhouse.models.access import accept
from stillhouse.teachers.ask import ask
from stillhouse.teachers.probabilities import Form, form_asked, outputs_of
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.teachers.trust import Trust, learn
from stillhouse.workspace import dump_json

FORM = "form.json"


class Ensemble(Teacher):
    """Makes every member ready, and averages what they say; a black box, whatever its members are.

    Args:
        members: Teachers with their settings: `[{name: sklearn}, {name: fit, architecture: {name:
            mlp}}]`. A member's seed is its own plus its place, so that the same one twice is two
            different ones.
        weights: `equal`; `accuracy`: each member weighs as its accuracy on val; or `row`: in each
            row by the chance, beyond guessing, that it is right there, which its confidence tells,
            as learned on val. Of a quantity and of several labels a row: equal.
    """

    def __init__(
        self, *, members: tuple[Spec, ...], weights: Literal["equal", "accuracy", "row"] = "equal"
    ) -> None:
        if len(members) < 2:
            raise SettingsError(
                f"an ensemble has two members or more, not {len(members)}.",
                where="teacher.members",
                fix="Name the teacher itself, or add one.",
            )
        self.members: list[Teacher] = [
            config.plugin("teachers", spec, where=f"teacher.members.{at}")
            for at, spec in enumerate(members)
        ]
        self.names, self.weights = [str(spec["name"]) for spec in members], weights

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        quantity = lesson.train.schema.quantity
        if quantity is not None and self.weights != "equal":
            raise SettingsError(
                f"'{quantity.name}' is a quantity, of which no member is right or wrong.",
                where="teacher.weights",
                fix="Write equal.",
            )
        if lesson.train.schema.labels and self.weights != "equal":
            raise SettingsError(
                "members are weighed by the class that they name, and rows have several labels.",
                where="teacher.weights",
                fix="Write equal.",
            )
        files: dict[str, bytes] = {}
        weights, trusts = [], []
        for at, (name, member) in enumerate(zip(self.names, self.members, strict=True)):
            accept(name, member.accepts, lesson.train.schema.kind)
            made = member.learn(
                replace(lesson, seed=lesson.seed + at, scratch=lesson.scratch / f"member {at}")
            )
            files |= {f"{at}/{inner}": data for inner, data in made.items()}
            weights.append(1.0)
            if self.weights == "equal":
                continue
            val = lesson.val.labelled
            oracle = member.recall(made, lesson.train.schema)
            answers = ask(oracle, val, where=f"teacher.members.{at}, on val")
            trusts.append(asdict(learn(answers, val.targets)))
            # one that is never right must not make the sum 0
            weights[-1] = max(float(accuracy(answers, val.targets)), 1e-6)
        form: dict[str, Any] = (
            {"trust": trusts}
            if self.weights == "row"
            else {"weights": [weight / sum(weights) for weight in weights]}
        )
        return {**files, FORM: dump_json(form)}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        form = json.loads(files[FORM])
        trusts = [Trust(**each) for each in form.get("trust", [])]
        weights: Sequence[float | Trust] = trusts or form["weights"]
        held = [
            {
                name.partition("/")[2]: data
                for name, data in files.items()
                if name.startswith(f"{at}/")
            }
            for at in range(len(self.members))
        ]
        return Average(
            [member.recall(made, schema) for member, made in zip(self.members, held, strict=True)],
            weights,
            form=form_asked(schema),
        )


class Average(Oracle):
    """The weighted mean of several teachers' probabilities, or of their values of a quantity.

    Args:
        oracles: The members.
        weights: One each, of sum 1; or how far each is to be trusted in a row.
        form: What is averaged: probabilities, the chances of labels, or values of a quantity.
    """

    def __init__(
        self,
        oracles: list[Oracle],
        weights: Sequence[float | Trust],
        *,
        form: Form = "probabilities",
    ) -> None:
        self._oracles, self._weights, self._form = oracles, weights, form
        counts = [oracle.parameters for oracle in oracles]
        self.parameters = sum(counts) if all(counts) else 0
        self.by_row = any(oracle.by_row for oracle in oracles)
        self.usd_per_row = sum(oracle.usd_per_row for oracle in oracles)

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        answers = [oracle.logits(inputs, rows) for oracle in self._oracles]
        parts = [
            self._weight(weight, answer) * _averaged(answer.double(), self._form)
            for weight, answer in zip(self._weights, answers, strict=True)
        ]
        total = torch.stack(parts).sum(dim=0)
        if isinstance(self._weights[0], Trust):
            total = total / total.sum(dim=1, keepdim=True)
        return outputs_of(total, self._form).float()

    def _weight(self, weight: float | Trust, answer: Tensor) -> float | Tensor:
        return weight.weight(answer).unsqueeze(1) if isinstance(weight, Trust) else weight

    def answers(self, rows: Tensor) -> Tensor:
        return torch.stack([oracle.answers(rows) for oracle in self._oracles]).all(dim=0)

    def keep_in(self, folder: Path) -> None:
        for oracle in self._oracles:
            oracle.keep_in(folder)

    def unpaid(self, inputs: Tensor) -> int:
        return max(oracle.unpaid(inputs) for oracle in self._oracles)

    def require_money(self, rows: int) -> None:
        for oracle in self._oracles:
            oracle.require_money(rows)

    def require_same(self, inputs: Tensor, rows: Tensor) -> None:
        for oracle in self._oracles:
            oracle.require_same(inputs, rows)


def _averaged(answers: Tensor, form: Form) -> Tensor:
    """Return what members' answers are averaged as: no mean of logits is anybody's belief."""
    if form == "probabilities":
        return answers.softmax(dim=1)
    return answers.sigmoid() if form == "chances" else answers
