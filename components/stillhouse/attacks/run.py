"""Run an attack and believe only the model: what the attack returns is checked, and judged by a
forward pass of its own.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.meter import Meter
from stillhouse.attacks.result import UNLIMITED, Budget, Result
from stillhouse.attacks.sense import require_answers, require_fit, require_gradients
from stillhouse.attacks.threat import Threat
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.training.randomness import own_random_state

VOTES = 20  # as many answers as the published attacks on models that draw average over
_FEW = 4  # rows are few if they fill less of a batch than one part in so many
_LOOKED_AT = 16  # rows that are asked twice to see whether the model draws
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """Tell nothing."""


class AttackFailed(StillhouseError):
    """An attack returned what cannot be judged."""


def run_attack(
    attack: Attack,
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    threat: Threat,
    generator: torch.Generator,
    batch: int = 256,
    surrogate: nn.Module | None = None,
    budget: Budget = UNLIMITED,
    progress: Progress = silent,
) -> Result:
    """Attack the rows that a model gets right, and say which of them it still gets right.

    The search itself, and everything that it draws, is on the CPU; the model is asked where it
    computes. Rows that leave the threat are brought back before they are judged. A model that
    answers the same rows differently is judged by votes. Model, gradients and the global generator
    are left as they were.

    Args:
        attack: What to run.
        model: Data space [B, *shape] to logits [B, C].
        inputs: Clean rows [N, *shape]; N may be 0.
        targets: [N], int64, all labelled.
        threat: What is allowed.
        generator: Everything random.
        batch: Rows at once; up to a quarter more where the attack `joins_few`.
        surrogate: The model that an `on_surrogate` attack which has brought none is given in the
            place of `model`.
        budget: When to stop.
        progress: Told rows done, rows in all, and how many of them fell.

    Raises:
        UsageError: The attack needs a surrogate or gradients and there are none, or does not take
            the threat.
        DataError: The model's answers to the clean rows cannot be judged.
        AttackFailed: It returned other shapes, or values that are not numbers.
    """
    require_fit(attack, threat, inputs)
    here, inputs, targets = inputs.device, inputs.cpu(), targets.cpu()
    elsewhere = attack.on_surrogate and not attack.brought
    if elsewhere and surrogate is None:
        raise UsageError(
            f"the attack '{type(attack).__name__}' needs a second model that gives gradients.",
            fix="Give it one, such as Transfer(surrogates=[other]), use a teacher that is a torch "
            "model, or leave the attack out.",
        )
    found = inputs.detach().clone()  # also lifts inference tensors, which autograd refuses
    goals = targets.detach().clone()
    asked = Meter(model, budget)
    seen = asked if surrogate is None or not elsewhere else Meter(surrogate, UNLIMITED)
    # a model or an attack that draws elsewhere does so by the caller's seed, the same way each time
    random_state = own_random_state(generator.initial_seed())
    with frozen(model), frozen(surrogate or model), random_state:
        judge = Judge.of(asked, found, goals, batch)
        clean = judge.right(found, goals, check=True)
        right = torch.nonzero(clean).flatten()
        if not attack.brought:  # else it looks at what it has brought
            require_gradients(attack, seen, found)
        parts = [right] if attack.at_once else _parts(right, batch, join=attack.joins_few)
        done = 0
        for rows in (part for part in parts if len(part) and not asked.spent):
            moved = attack.perturb(
                seen, found[rows], goals[rows], threat=threat, generator=generator
            )
            found[rows] = _inside(moved, inputs[rows].detach(), threat, type(attack).__name__)
            done += len(rows)
            progress(done, len(right), type(attack).__name__)
        still = torch.zeros(len(found), dtype=torch.bool)
        still[right] = judge.right(found[right], goals[right])
    norm = threat.size(found, inputs.detach()) if len(found) else torch.zeros(0)
    return Result(
        found.to(here),
        clean.to(here),
        ~still.to(here),
        norm.to(here),
        asked.queries,
        asked.seconds,
        complete=not asked.spent,
        threat=str(threat),
        votes=judge.votes,
    )


def _parts(rows: Tensor, batch: int, *, join: bool) -> list[Tensor]:
    """Return rows [n] a batch at a time; what would fill less than a quarter of another may join
    the last one.
    """
    parts = list(torch.split(rows, batch))
    if join and len(parts) > 1 and len(parts[-1]) * _FEW < batch:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


@dataclass(frozen=True)
class Judge:
    """Says which rows a model gets right.

    Attributes:
        model: Who answers.
        batch: Rows at once.
        votes: How many answers decide about a row; the class with most of them counts.
    """

    model: nn.Module
    batch: int
    votes: int

    @classmethod
    def of(cls, model: nn.Module, inputs: Tensor, targets: Tensor, batch: int) -> "Judge":
        """Return the judge of a model: of one that answers some rows differently when it is asked
        again, by votes.
        """
        few = inputs[:_LOOKED_AT]
        if not len(few):
            return cls(model, batch, 1)
        with torch.no_grad():
            first, again = model(few), model(few)
        require_answers(first, targets[:0])  # what is no tensor of logits has no numbers to compare
        steady = torch.equal(first.nan_to_num(0.0), again.nan_to_num(0.0))
        return cls(model, batch, 1 if steady else VOTES)

    def right(self, inputs: Tensor, targets: Tensor, *, check: bool = False) -> Tensor:
        """Return which rows [N], bool, it gets right; an answer that is no number is wrong.

        Args:
            inputs: [N, *shape].
            targets: [N].
            check: Whether odd answers and targets are refused instead.
        """
        parts = []
        for rows in torch.split(torch.arange(len(inputs)), self.batch):
            if not len(rows):
                break
            with torch.no_grad():
                answers = [self.model(inputs[rows]) for _ in range(self.votes)]
            if check:
                require_answers(answers[0], targets[rows])
            parts.append(_voted(answers) == targets[rows])
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)


def _voted(answers: list[Tensor]) -> Tensor:
    """Return the class [B] that most of the answers [B, C] name; -1 where none is a number."""
    told = torch.zeros_like(answers[0], dtype=torch.float32)
    for logits in answers:
        sane = ~logits.isnan().any(dim=1, keepdim=True)
        told.scatter_add_(1, logits.nan_to_num(0.0).argmax(1, keepdim=True), sane.float())
    best = told.max(dim=1)
    return torch.where(best.values > 0, best.indices, -1)


def _inside(moved: Tensor, clean: Tensor, threat: Threat, name: str) -> Tensor:
    if not isinstance(moved, Tensor) or moved.shape != clean.shape:
        raise AttackFailed(
            f"the attack '{name}' returned {_shape(moved)} for rows of {_shape(clean)}.",
            fix="Return one row for each that was given.",
        )
    moved = moved.detach().to(clean.dtype)
    odd = ~moved.isfinite() & ~clean.isnan()
    if odd.any():
        row = int(torch.nonzero(odd.flatten(1).any(1))[0])
        raise AttackFailed(
            f"the attack '{name}' returned values that are not numbers, first in row {row} "
            "of its batch.",
            fix="Look for a division by zero in it.",
        )
    return threat.snap(moved, clean)


def _shape(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, its parameters without gradients; on leaving, every module
    and parameter is as it was.
    """
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, want in wanted:
            parameter.requires_grad_(want)
