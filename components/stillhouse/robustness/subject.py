"""Who is examined: the student whose gradients are known, and the file that ships and has the last
word.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stillhouse.attacks.space import Space
from stillhouse.evaluation.metrics import correct
from stillhouse.robustness.corruption import SEVERITIES, Corruption, corrupt


@dataclass(frozen=True)
class Subject:
    """A model under examination, and the rows.

    Attributes:
        model: The torch student, for gradients.
        answer: The deployed model: inputs [N, *shape] to logits [N, C]; it decides what is correct.
        inputs: Clean test rows [N, *shape].
        targets: [N], int64, all labelled.
        space: Where the inputs live.
        seed: Of everything random.
    """

    model: nn.Module
    answer: Callable[[Tensor], Tensor]
    inputs: Tensor
    targets: Tensor
    space: Space
    seed: int

    def right(self, inputs: Tensor) -> Tensor:
        """Return whether the deployed model is right about each row [N], bool."""
        return correct(self.answer(inputs), self.targets)

    def only(self, rows: Tensor) -> "Subject":
        """Return the same examination of some of its rows [B], positions."""
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows])

    def under(self, name: str, corruption: Corruption) -> Iterator[Tensor]:
        """Yield the rows [N, *shape] corrupted at each of the five severities; all draw the same
        numbers, so that only the severity differs.

        Raises:
            CorruptionFailed: It returned what no model can be asked about.
        """
        for severity in SEVERITIES:
            generator = self.generator(f"corruption_{name}")
            yield corrupt(
                corruption, self.inputs, severity=severity, space=self.space, generator=generator
            )

    def generator(self, label: str) -> torch.Generator:
        """Return a generator of its own for each label, so that leaving one out or adding one
        changes no other.
        """
        digest = hashlib.sha256(f"{self.seed}/{label}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
