"""The model as an attack sees it: every question is counted, and a budget can end."""

from torch import Tensor, nn

from stillhouse.attacks.result import Budget
from stillhouse.clock import SYSTEM, Clock
from stillhouse.models.device import device_of


class Meter(nn.Module):
    """A model that counts the rows it is asked about; wherever it computes, it is asked and answers
    where the rows are.

    `Found` looks at `spent`: once it is true no row is open any more, and every search ends with
    the best that it has met.

    Attributes:
        model: Who answers.
        queries: Rows so far.
    """

    def __init__(self, model: nn.Module, budget: Budget, clock: Clock = SYSTEM) -> None:
        super().__init__()
        self.model, self.budget, self.clock = model, budget, clock
        self.queries, self.began = 0, clock.seconds()

    def forward(self, inputs: Tensor) -> Tensor:
        self.queries += len(inputs)
        here, there = inputs.device, device_of(self.model)
        logits: Tensor
        if there in (None, here):  # nothing else between rows and model: `Slope` reads what is done
            logits = self.model(inputs)
        else:
            logits = self.model(inputs.to(there)).to(here)
        return logits

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return self.clock.seconds() - self.began

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        limit = self.budget
        return (limit.queries is not None and self.queries >= limit.queries) or (
            limit.seconds is not None and self.seconds >= limit.seconds
        )
