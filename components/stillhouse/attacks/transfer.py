"""Transfer: rows that are adversarial to other models, tried on the one under attack."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.gradient import ascent, margin
from stillhouse.attacks.run import frozen
from stillhouse.attacks.sense import require_answers, require_gradients
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count
from stillhouse.errors import SettingsError, nearest

TEACHER = "teacher"


def transfer(
    surrogate: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 20,
) -> Tensor:
    """Return for each row the iterate that the surrogate gets wrong by most.

    Rows that fool the surrogate stay: a row that only just crosses one model's boundary rarely
        crosses another's, so the climb goes on to the end.

    Args:
        surrogate: A model whose gradients are known, data space [B, *shape] to logits [B, C], in
            eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the start.
        steps: Steps of 2.5 · epsilon / steps.

    Source:
        Papernot, McDaniel and Goodfellow 2016, arXiv:1605.07277; the steps are those of `pgd`.
    """
    step_size = 2.5 * threat.epsilon / steps
    at = threat.random(inputs, generator)
    best, lowest = at, torch.full((len(inputs),), torch.inf)
    for _ in range(steps + 1):
        logits, gradient = ascent(surrogate, at, targets)
        margins = margin(logits, targets)
        better = margins < lowest
        best = torch.where(better.view(-1, *[1] * (at.dim() - 1)), at, best)
        lowest = torch.where(better, margins, lowest)
        at = threat.project(at + step_size * threat.steepest(gradient, inputs), inputs)
    return best


class Together(nn.Module):
    """Several models as one: the mean of their log-probabilities.

    What fools all of them at once crosses to a further one more often than what fools one.

    Source:
        Liu, Chen, Liu and Song 2017, arXiv:1611.02770, section 5 (an ensemble's loss).
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, inputs: Tensor) -> Tensor:
        told = torch.stack([model(inputs).log_softmax(dim=-1) for model in self.models])
        return told.mean(dim=0)


def from_others(
    model: nn.Module,
    surrogates: Sequence[nn.Module],
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 20,
) -> Tensor:
    """Return for each row the point with the smallest margin under `model`, of those that each of
    the surrogates leads to, and all of them together.

    Args:
        model: The one under attack; only its answers are asked for, at most once a surrogate and
            once more.
        surrogates: At least one, each as in `transfer`; rows that one led astray are not given to
            the next.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        steps: Of each climb.
    """
    leaders = [*surrogates, Together(surrogates)] if len(surrogates) > 1 else surrogates
    found = Found.start(model, inputs, targets)
    for leader in leaders:
        rows = found.survivors()
        if not len(rows):
            break
        clean, goals = inputs[rows], targets[rows]
        moved = transfer(leader, clean, goals, threat, generator, steps=steps)
        moved = threat.snap(moved, clean)
        found.note(moved, margins(model, moved, goals), rows)
    return found.inputs


class Transfer(Attack):
    """PGD on the gradients of other models: what an attacker can do who owns the teacher, or has
    trained a student like this one.

    Args:
        steps: Of each climb.
        surrogates: The other models: torch modules, or in params.yaml names that the flow puts
            models in place of: `teacher`, `student` (the same settings from another seed), the
            arms beside it, and `trials`, the models of its best trials.

    Example:
        >>> import torch
        >>> from stillhouse.attacks import Threat
        >>> model, other = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
        >>> rows = torch.rand(8, 4)
        >>> result = Transfer(surrogates=[other])(
        ...     model, rows, model(rows).argmax(1), Threat("linf", 0.3)
        ... )
        >>> bool((result.norm <= 0.3).all())
        True
    """

    on_surrogate = True

    def __init__(
        self, *, steps: Count = 20, surrogates: Sequence[str | nn.Module] = (TEACHER,)
    ) -> None:
        self.steps, self.surrogates = steps, tuple(surrogates)
        if not self.surrogates:
            raise SettingsError(
                "a transfer needs another model.",
                where="surrogates",
                fix=f"Leave it out for the {TEACHER}, or name one.",
            )

    @property
    def brought(self) -> tuple[nn.Module, ...]:
        known = tuple(each for each in self.surrogates if isinstance(each, nn.Module))
        return known if len(known) == len(self.surrogates) else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The surrogates that are only named yet."""
        return tuple(each for each in self.surrogates if isinstance(each, str))

    def given(self, models: Mapping[str, nn.Module]) -> "Transfer":
        """Return it with models in place of names.

        Raises:
            SettingsError: There is no model of a name.
        """
        for name in self.names:
            if name not in models:
                raise SettingsError(
                    f"there is no model '{name}'.",
                    where="surrogates",
                    fix=nearest(name, list(models)),
                )
        told = [models[each] if isinstance(each, str) else each for each in self.surrogates]
        return Transfer(steps=self.steps, surrogates=told)

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        if not self.brought:  # `model` is the surrogate
            return transfer(model, inputs, targets, threat, generator, steps=self.steps)
        with ExitStack() as held:
            for other in self.brought:
                held.enter_context(frozen(other))
                require_gradients(self, other, inputs)
                with torch.no_grad():
                    require_answers(other(inputs), targets)
            return from_others(
                model, self.brought, inputs, targets, threat, generator, steps=self.steps
            )
