"""Masking alarms: signs that an attack failed because it was misled, not because the model
withstands it.

Each is a check with a verdict of its own on a few rows; a rule can hold a promotion by their number
(`robust/masking/alarms`). When one rings, the suite attacks once more without gradients.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks.attack import FOLLOWED, Attack
from stillhouse.attacks.eot import EOT
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.gradient import ascent
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import frozen, run_attack
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.robustness.case import Ball, Case
from stillhouse.robustness.subject import Subject

ROWS = 100  # that the checks look at: a share of 5 % is five of them
QUERIES = 200  # of the black box
STEPS = 10
OFTEN = 0.1  # the share of rows above which a gradient of 0 is no accident
POINTS = 0.05  # how much of accuracy is more than these few rows' chance
AFTER = 1000  # questions a row of the attack that follows an alarm

Verdict = Literal["clear", "alarm", "not applicable"]


@dataclass(frozen=True)
class Alarm:
    """One check.

    Attributes:
        name: What it looks for.
        verdict: Whether it found it; not applicable where it means nothing.
        value: What was measured; None where nothing was.
        bound: It rings above this.
        says: The finding in a sentence.
    """

    name: str
    verdict: Verdict
    value: float | None
    bound: float
    says: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return asdict(self)


def examined(ball: Ball, subject: Subject, clean: Tensor) -> list[Alarm]:
    """Return every check's verdict for attacks inside a ball.

    Args:
        ball: Of a norm whose balls gradients can be followed in.
        subject: On whom.
        clean: [N], bool: right unattacked; only such rows are looked at.
    """
    rows = torch.nonzero(clean).flatten()
    order = torch.randperm(len(rows), generator=subject.generator("masking/rows"))[:ROWS]
    if not len(order):
        return []
    part = subject.only(rows[order.sort().values])
    threat = Threat(ball.norm, ball.epsilon, ball.within(subject.space))
    with frozen(part.model):
        naive = _textbook(part, threat)
        saturated, blind = _gradients(part)
    left = _Left(part, threat)
    return [
        _ring("saturated loss", saturated, OFTEN, "{:.0%} of the rows have a loss without slope"),
        _ring("zero gradients", blind, OFTEN, "{:.0%} of the rows have no gradient at all"),
        _ring("loss stands still", naive, 0.2, "in {:.0%} of the rows 10 steps do not raise it"),
        _ring(
            "one step beats many",
            left(PGD(steps=STEPS), "pgd") - left(FGSM(), "fgsm"),
            POINTS,
            "one step leaves {:.0%} fewer rows than ten",
        ),
        _ring(
            "black box beats white box",
            left(PGD(steps=STEPS), "pgd") - left(Square(queries=QUERIES), "square"),
            POINTS,
            "random search leaves {:.0%} fewer rows than the gradient",
        ),
        *_without_bounds(ball, threat, left),
        _draws(part),
    ]


def alarmed(alarms: Sequence[Alarm]) -> list[str]:
    """Return the names of those that ring."""
    return [alarm.name for alarm in alarms if alarm.verdict == "alarm"]


def after(alarms: Sequence[Alarm], ball: Ball) -> list[Case]:
    """Return what the suite attacks with once more, where one rings: without gradients, and on the
    mean answer of a model that draws.
    """
    ringing, size = alarmed(alarms), "by_feature" if ball.reach else f"{ball.epsilon:g}"
    attacks: dict[str, Attack] = {}
    if ringing:
        attacks["masking_square"] = Square(queries=AFTER)
    if "draws" in ringing:
        attacks["masking_eot"] = EOT(attack={"name": "pgd"})
    return [
        Case(f"{name}_{ball.norm}_{size}", name.removeprefix("masking_"), ball, {}, attack)
        for name, attack in attacks.items()
    ]


def widest(cases: Sequence[Case]) -> Ball | None:
    """Return the largest ball, of the first norm, that gradients can be followed in; None if there
    is none.
    """
    balls = [case.ball for case in cases if case.ball.norm in FOLLOWED]
    same = [ball for ball in balls if ball.norm == balls[0].norm and ball.reach == balls[0].reach]
    return max(same, key=lambda ball: ball.epsilon) if same else None


def _ring(name: str, value: float, bound: float, says: str) -> Alarm:
    found: Verdict = "alarm" if value > bound else "clear"
    return Alarm(name, found, value, bound, says.format(max(value, 0.0)) + ".")


class _Left:
    """Says which share of the rows an attack leaves right; each is made once."""

    def __init__(self, part: Subject, threat: Threat) -> None:
        self.part, self.threat = part, threat
        self.known: dict[str, float] = {}

    def __call__(self, attack: Attack, name: str, threat: Threat | None = None) -> float:
        if name not in self.known:
            found = run_attack(
                attack,
                self.part.model,
                self.part.inputs,
                self.part.targets,
                threat=threat or self.threat,
                generator=self.part.generator(f"masking/{name}"),
            )
            right = self.part.right(found.inputs) & found.still_correct
            self.known[name] = float(right.double().mean())
        return self.known[name]


def _textbook(part: Subject, threat: Threat) -> float:
    """Return in which share of the rows ten steps along the sign of the plain cross-entropy leave
    it no higher than it was.
    """
    region = threat.around(part.inputs)
    start, _ = _plain(part.model, part.inputs, part.targets)
    at = part.inputs
    for _ in range(STEPS):
        _, slope = _plain(part.model, at, part.targets)
        at = region.project(at + threat.epsilon / 4 * region.steepest(slope, at))
    end, _ = _plain(part.model, at, part.targets)
    return float((end <= start).double().mean())


def _gradients(part: Subject) -> tuple[float, float]:
    """Return the shares of rows on which the plain cross-entropy has no slope although the net has,
    and on which the net has none.
    """
    _, plain = _plain(part.model, part.inputs, part.targets)
    _, scaled = ascent(part.model, part.inputs, part.targets)
    none, blind = ((slope.nan_to_num(0.0).flatten(1) == 0).all(1) for slope in (plain, scaled))
    return float((none & ~blind).double().mean()), float(blind.double().mean())


def _plain(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy [B] as float32 has it, and its gradient [B, *shape]."""
    with torch.enable_grad():
        at = inputs.detach().clone().requires_grad_(True)
        losses = F.cross_entropy(model(at), targets, reduction="none")
        [gradient] = torch.autograd.grad(losses.sum(), at)
    return losses.detach(), gradient


def _without_bounds(ball: Ball, threat: Threat, left: _Left) -> list[Alarm]:
    space = threat.space
    room = float(((space.high - space.low) / space.scale).max())
    reason = ""
    if not bool(space.mutable.all()) or space.ordered or bool(space.whole.any()):
        reason = "some inputs may not change freely."
    elif not torch.isfinite(torch.tensor(room)) or ball.norm != "linf":
        reason = "the threat has no largest epsilon."
    if reason:
        return [
            Alarm(name, "not applicable", None, POINTS, reason)
            for name in ("unbounded attack fails", "flat in epsilon")
        ]
    whole = left(PGD(steps=4 * STEPS), "unbounded", Threat("linf", room, space))
    held = left(PGD(steps=STEPS), "pgd")
    wide = min(8 * ball.epsilon, room)
    far = left(PGD(steps=STEPS), "wide", Threat("linf", wide, space))
    flat = Alarm("flat in epsilon", "not applicable", None, POINTS, "epsilon is too small to tell.")
    if wide >= room / 4:
        still: Verdict = "alarm" if held > 2 * POINTS and held - far < POINTS else "clear"
        says = f"from epsilon {ball.epsilon:g} to {wide:g} accuracy falls by {held - far:.0%}."
        flat = Alarm("flat in epsilon", still, held - far, POINTS, says)
    says = "an attack without bounds leaves {:.0%} of the rows"
    return [_ring("unbounded attack fails", whole, POINTS, says), flat]


def _draws(part: Subject) -> Alarm:
    asked: Sequence[Callable[[Tensor], Tensor]] = (part.model, part.answer)
    with torch.no_grad(), frozen(part.model):
        apart = max(
            float((one(part.inputs) - one(part.inputs)).abs().nan_to_num(0.0).max())
            for one in asked
        )
    return _ring("draws", apart, 0.0, "two answers to the same rows differ by {:.2g}")
