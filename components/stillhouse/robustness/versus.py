"""The champion under the attacks that the student was under, on the same rows, until the verdict on
their difference is settled.

Rows are attacked in random order, some at a time; after each time the exact test on *all* rows is
foreseen, with a stated error rate (`evaluation.sequential_pairs`). Everything depends on the seed
and the data alone: a comparison that was killed comes to the same rows and the same end.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from stillhouse.evaluation.paired import pairs
from stillhouse.evaluation.sequential_pairs import Foreseen, PairedForesight
from stillhouse.robustness.adversarial import Result, attacked
from stillhouse.robustness.case import Case
from stillhouse.robustness.kept import Keep
from stillhouse.robustness.subject import Subject

LEAST, LOOKS = 32, 100  # rows between two looks, at the least, and looks at the most


@dataclass(frozen=True)
class Versus:
    """How far the comparison came.

    Attributes:
        order: Positions [seen] of the rows that were attacked.
        still: [seen], bool: whether the champion is right about the clean row and about what every
            attack made of it.
        said: What the test on all rows is foreseen to say; None where all of them were attacked.
    """

    order: Tensor
    still: Tensor
    said: Foreseen | None

    @property
    def whole(self) -> Tensor:
        """[N]: `still` in the order of the rows, where all of them were attacked."""
        return self.still[torch.argsort(self.order)]


def versus(
    champion: Subject,
    cases: Sequence[Case],
    student: Tensor,
    foresight: PairedForesight | None,
    keep: Keep,
    progress: Callable[[int, int, str], None],
) -> Versus:
    """Attack the champion's rows in random order until the verdict is settled, or all are
    attacked.

    Args:
        champion: On whom, with the N rows.
        cases: Attacks of one norm, none of them led by another model.
        student: [N], bool: what the student withstood.
        foresight: Of the rule; None: all rows are attacked.
        keep: Gives back what an earlier process had finished.
        progress: Called with (done, total, note). Errors as `run_attack`.
    """
    total, norm = len(champion.targets), cases[0].ball.norm
    order = torch.randperm(total, generator=champion.generator(f"champion/{norm}/order"))
    still: list[Tensor] = []
    for at, rows in enumerate(torch.split(order, max(LEAST, math.ceil(total / LOOKS)))):
        seen = sum(len(part) for part in still)
        progress(seen, total, f"the champion under {norm}")
        still.append(_withstood(champion.only(rows), cases, at, keep))
        looked = order[: seen + len(rows)]
        if foresight is None or len(looked) == total:
            continue
        said = foresight.verdict(pairs(student[looked].numpy(), torch.cat(still).numpy()))
        if said is not None:
            return Versus(looked, torch.cat(still), said)
    return Versus(order, torch.cat(still), None)


def _withstood(part: Subject, cases: Sequence[Case], at: int, keep: Keep) -> Tensor:
    """Return which rows [B] stay right; only what survives one attack is given to the next."""
    alive = part.right(part.inputs)
    for case in cases:
        left = torch.nonzero(alive).flatten()
        if not len(left):
            break
        named = replace(case, label=f"champion/{case.label}/{at}")
        alive[left] = keep(named, partial(_attack, named, part.only(left))).still
    return alive


def _attack(case: Case, some: Subject) -> Result:
    everybody = torch.ones(len(some.targets), dtype=torch.bool)
    return attacked(case, some, everybody, None)
