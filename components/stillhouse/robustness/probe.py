"""Cheap attacks before the suite: they bound from above what any suite will find, so that a rule
that fails is known to fail before the dear attacks start.

Rows are attacked in random order, a few at a time; after each few the verdict on *all* rows is
foreseen, with a stated error rate (`evaluation.sequential`). Everything depends on the seed and the
data alone: a probe that was killed comes to the same rows and the same end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import run_attack
from stillhouse.evaluation.sequential import Foresight
from stillhouse.robustness.adversarial import Result
from stillhouse.robustness.case import Ball, Case
from stillhouse.robustness.subject import Subject

LOOK = 32  # rows between two looks
CHEAP: tuple[Attack, ...] = (FGSM(), PGD(steps=10))  # only what survives one is given to the next


@dataclass(frozen=True)
class Bar:
    """What a rule that decides asks for under attack.

    Attributes:
        norm: Of the attacks that it speaks about.
        bound: The share of rows that has to stay right in the population.
        most: It fails where at most so many of all rows do.
        delta: How often, at most, a failure may be foreseen that would not come.
    """

    norm: str
    bound: float
    most: int
    delta: float


@dataclass(frozen=True)
class Probed:
    """How far the probe came.

    Attributes:
        bar: What was asked.
        ball: The largest that the suite attacks with under this norm.
        order: Positions [seen] of the rows that were attacked.
        still: [seen], bool: whether the deployed model is right about the clean row and about what
            every cheap attack made of it.
        inputs: [seen, *shape]: what they made.
        total: N.
        fails: Whether the rule is foreseen to fail.
    """

    bar: Bar
    ball: Ball
    order: Tensor
    still: Tensor
    inputs: Tensor
    total: int
    fails: bool

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it; the outcomes by row are stored beside it."""
        return {
            "metric": f"robust/{self.bar.norm}/accuracy",
            "norm": self.bar.norm,
            "epsilon": self.ball.epsilon,
            "bound": self.bar.bound,
            "most": self.bar.most,
            "delta": self.bar.delta,
            "rows": self.total,
            "seen": len(self.order),
            "right": int(self.still.sum()),
            "fails": self.fails,
        }

    def result(self) -> Result:
        """Return it as one more attack of the suite, where all rows were attacked."""
        back = torch.argsort(self.order)
        label = f"probe_{self.ball.norm}_{self.ball.epsilon:g}"
        case = Case(label, "probe", self.ball, {}, CHEAP[-1])
        return Result(case, self.still[back], self.inputs[back])


def probe(
    bar: Bar, ball: Ball, subject: Subject, progress: Callable[[int, int, str], None]
) -> Probed:
    """Attack rows in random order until the rule is foreseen to fail, or all were attacked.

    Args:
        bar: What is asked.
        ball: What the attacks may do.
        subject: On whom.
        progress: Called with (done, total, note). Errors as `run_attack`.
    """
    total, label = len(subject.targets), f"probe/{ball.norm}/{ball.epsilon:g}"
    order = torch.randperm(total, generator=subject.generator(f"{label}/order"))
    foresight = Foresight(total, bar.most + 1, bar.delta)
    still: list[Tensor] = []
    made: list[Tensor] = []
    fails = False
    for at, rows in enumerate(torch.split(order, LOOK)):
        progress(at * LOOK, total, f"{ball.norm}, cheap attacks first")
        kept, inputs = _attacked(subject, rows, ball, f"{label}/{at}")
        still.append(kept)
        made.append(inputs)
        right, seen = sum(int(part.sum()) for part in still), min((at + 1) * LOOK, total)
        fails = foresight.verdict(seen, right) == "fail"
        if fails:
            break
    seen = sum(len(part) for part in still)
    return Probed(bar, ball, order[:seen], torch.cat(still), torch.cat(made), total, fails)


def _attacked(subject: Subject, rows: Tensor, ball: Ball, label: str) -> tuple[Tensor, Tensor]:
    """Return which of the rows stay right, [B], and what became of them, [B, *shape]."""
    part = subject.only(rows)
    threat = Case(label, "probe", ball, {}, CHEAP[0]).threat(subject.space)
    alive, inputs = part.right(part.inputs), part.inputs.clone()
    for at, attack in enumerate(CHEAP):
        left = torch.nonzero(alive).flatten()
        if not len(left):
            break
        found = run_attack(
            attack,
            part.model,
            part.inputs[left],
            part.targets[left],
            threat=threat,
            generator=part.generator(f"{label}/{at}"),
        )
        inputs[left] = found.inputs
        alive = alive & part.right(inputs)
    return alive, inputs
