"""Attacks on a subject: which rows the deployed model still gets right, at one epsilon and along a
curve of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.transfer import TEACHER, Transfer
from stillhouse.evaluation.intervals import Interval, proportion
from stillhouse.robustness.case import Ball, Case
from stillhouse.robustness.subject import Subject

# Epsilons of a curve, as shares of the largest one that is set for the norm; half as much again
# shows whether the accuracy falls off behind it.
CURVE = (0.25, 0.5, 1.0, 1.25, 1.5)
# a step more costs five runs; survivors of each point go on to the next, so that few rows pay
CURVE_STEPS = 10


@dataclass(frozen=True)
class Result:
    """What an attack came to.

    Attributes:
        case: The attack and its threat.
        still: [N], bool: whether the deployed model is right about the clean row and about what the
            attack made of it.
        inputs: [N, *shape], what the attack made; clean where the student was wrong already.
    """

    case: Case
    still: Tensor
    inputs: Tensor

    @property
    def accuracy(self) -> Interval:
        """The share of rows that stay correct, with its exact interval."""
        return share(self.still)


def share(still: Tensor) -> Interval:
    """Return the share of rows [N] with its exact 95 % interval."""
    return proportion(int(still.sum()), len(still))


def attacked(case: Case, subject: Subject, clean: Tensor, surrogate: nn.Module | None) -> Result:
    """Run one case.

    Args:
        case: What to run.
        subject: On whom.
        clean: [N], bool: the rows that the deployed model gets right unattacked.
        surrogate: The teacher, for attacks that need one. Errors as `run_attack`.
    """
    found = run_attack(
        case.attack,
        subject.model,
        subject.inputs,
        subject.targets,
        threat=case.threat(subject.space),
        generator=subject.generator(case.label),
        surrogate=surrogate,
    )
    return Result(case, clean & subject.right(found.inputs), found.inputs)


def transfers(cases: Sequence[Case]) -> list[Case]:
    """Return a transfer from the teacher for each threat that is attacked otherwise and not yet by
    such a one.
    """
    taken = {case.ball for case in cases if from_teacher(case)}
    balls = dict.fromkeys(case.ball for case in cases if case.ball not in taken)
    labels = {case.label for case in cases}
    return [
        Case(_unused(f"{ball.norm}_{_size(ball)}", labels), "transfer", ball, {}, Transfer())
        for ball in balls
        if ball.norm in Transfer.norms
    ]


def from_teacher(case: Case) -> bool:
    """Whether a case is led by the teacher and nobody else."""
    attack = case.attack
    named = not isinstance(attack, Transfer) or attack.surrogates == (TEACHER,)
    return attack.on_surrogate and named


def _unused(ball: str, labels: Collection[str]) -> str:
    """Return the label of the transfer from the teacher, beside one from somebody else."""
    usual = f"transfer_{ball}"
    return usual if usual not in labels else f"transfer_teacher_{ball}"


def _size(ball: Ball) -> str:
    return "by_feature" if ball.reach else f"{ball.epsilon:g}"


def crossing(
    result: Result, subject: Subject, clean: Tensor, surrogate: nn.Module
) -> dict[str, Any]:
    """Return how many of the rows that fool the teacher fool the student too, among those that the
    student gets right unattacked.
    """
    with torch.no_grad():
        fooled = (surrogate(result.inputs).argmax(dim=-1) != subject.targets) & clean
    crossed = int((fooled & ~result.still).sum())
    rows = int(fooled.sum())
    return {
        "label": result.case.label,
        "norm": result.case.ball.norm,
        "epsilon": result.case.ball.told,
        "fooled_teacher": rows,
        "fooled_both": crossed,
        "crossed": list(proportion(crossed, rows)) if rows else None,
        "accuracy": list(result.accuracy),
    }


def worst(results: Sequence[Result]) -> dict[str, Tensor]:
    """Return for each norm the rows [N] that withstand every attack of that norm: an attacker
    chooses for each row.
    """
    found: dict[str, Tensor] = {}
    for result in results:
        norm = result.case.ball.norm
        found[norm] = found[norm] & result.still if norm in found else result.still
    return found


def curve(results: Sequence[Result], norm: str, subject: Subject, clean: Tensor) -> dict[str, Any]:
    """Return accuracy under PGD against epsilon, from 0 to half as much again as the largest that
    is set.

    A row that fell at a smaller epsilon has fallen at a larger one, whichever attack found it: the
        balls lie inside each other.

    Args:
        results: All attacks of this norm, at least one.
        norm: One whose balls gradients can be followed in.
        subject: On whom.
        clean: [N], bool: right unattacked.
    """
    mine = [result for result in results if result.case.ball.norm == norm]
    top = max(mine, key=lambda result: result.case.ball.epsilon).case
    mine = [result for result in mine if result.case.ball.reach == top.ball.reach]
    attack, alive = PGD(steps=CURVE_STEPS), clean.clone()
    points: list[tuple[float, Interval]] = [(0.0, share(alive))]
    for part in CURVE:
        epsilon = part * top.ball.epsilon
        for result in mine:
            alive = alive & result.still if result.case.ball.epsilon <= epsilon else alive
        alive = _survive(
            attack,
            Threat(top.ball.norm, epsilon, top.ball.within(subject.space)),
            subject,
            alive,
            f"curve_{norm}_{part}",
        )
        points.append((epsilon, share(alive)))
    return {
        "label": top.label,
        "attack": "pgd",
        "norm": norm,
        "epsilon": [e for e, _ in points],
        "accuracy": [list(a) for _, a in points],
    }


def _survive(attack: PGD, threat: Threat, subject: Subject, alive: Tensor, label: str) -> Tensor:
    rows = torch.nonzero(alive).flatten()
    if not len(rows):
        return alive
    found = run_attack(
        attack,
        subject.model,
        subject.inputs[rows],
        subject.targets[rows],
        threat=threat,
        generator=subject.generator(label),
    )
    inputs = subject.inputs.clone()
    inputs[rows] = found.inputs
    return alive & subject.right(inputs)


def as_json(results: Sequence[Result]) -> list[Mapping[str, Any]]:
    """Return each attack with its threat, knobs and accuracy."""
    return [{**result.case.as_dict(), "accuracy": list(result.accuracy)} for result in results]
