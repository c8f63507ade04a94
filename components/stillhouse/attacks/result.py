"""What an attack may cost, and what it came to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.evaluation.intervals import Interval, proportion


@dataclass(frozen=True)
class Budget:
    """What an attack may cost at most; it stops soon after and returns the best so far.

    Attributes:
        queries: Answers asked of the model, a row each; None: as many as it wants.
        seconds: None: as long as it takes.
    """

    queries: int | None = None
    seconds: float | None = None


UNLIMITED = Budget()


@dataclass(frozen=True)
class Result:
    """What an attack came to, row by row.

    Attributes:
        inputs: [N, *shape], inside the threat; clean where a row was not attacked.
        clean: [N], bool: whether the model was right before.
        success: [N], bool: whether the model is wrong about `inputs`, by its own answer to exactly
            these; also where it was wrong before.
        norm: [N]: how far `inputs` are from the clean rows, in the threat's unit.
        queries: How many rows the model was asked about in all.
        seconds: How long it took.
        complete: Whether it came to its end before its budget did.
        threat: What was allowed, for people.
        votes: How many answers decided about a row: 1, or more where the model answers the same
            rows differently.
    """

    inputs: Tensor
    clean: Tensor
    success: Tensor
    norm: Tensor
    queries: int
    seconds: float
    complete: bool = True
    threat: str = ""
    votes: int = 1

    @property
    def still_correct(self) -> Tensor:
        """Which rows [N], bool, the model still gets right."""
        return ~self.success

    @property
    def robust_accuracy(self) -> Interval:
        """The share of rows that the model still gets right, with its exact 95 % interval."""
        return proportion(int(self.still_correct.sum()), len(self.success))

    def __str__(self) -> str:
        low, share, high = self.robust_accuracy if len(self.success) else (0.0, 1.0, 1.0)
        fooled = self.norm[self.success & self.clean]
        near = f"; fooled rows moved by {float(torch.median(fooled)):.3g} (median)"
        return (
            f"robust {share:.1%} [{low:.1%}, {high:.1%}] of {len(self.success):,} rows under "
            f"{self.threat}; clean {sum(self.clean.tolist()) / max(len(self.clean), 1):.1%}"
            f"{near if len(fooled) else ''}; {self.queries:,} queries in {self.seconds:.1f} s"
            f"{'' if self.complete else ' (stopped by its budget)'}"
        )
