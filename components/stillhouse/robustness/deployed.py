"""A file that ships, as a model that can be attacked: its own answers, and gradients where its
graph gives them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stillhouse.errors import SourceError

AGREES = 1e-3  # of the largest logit: as far as two runtimes may differ and still be one model
TRIED = 16  # rows


class Deployed(nn.Module):
    """Answers as the deployed model does, to the last bit; a gradient leads back through its twin.

    Args:
        answer: The deployed model: rows [B, *shape] to logits [B, C].
        twin: The same in torch; None: a black box.
    """

    def __init__(self, answer: Callable[[Tensor], Tensor], twin: nn.Module | None) -> None:
        super().__init__()
        self.answer, self.twin = answer, twin

    def forward(self, inputs: Tensor) -> Tensor:
        told = self.answer(inputs.detach())
        if self.twin is None or not (inputs.requires_grad and torch.is_grad_enabled()):
            return told
        # The twin's numbers cancel: only its slope is left.
        made: Tensor = self.twin(inputs)
        return told + (made - made.detach())


def twin_of(
    make: Callable[[], nn.Module], answer: Callable[[Tensor], Tensor], rows: Tensor
) -> tuple[nn.Module | None, str]:
    """Return the model's twin in torch, or None and why there is none.

    Args:
        make: Makes it, or raises what is missing.
        answer: The deployed model.
        rows: [N, *shape]; on some of them the two must agree.
    """
    few = rows[:TRIED]
    try:
        twin = make()
        with torch.no_grad():
            ours, theirs = twin(few), answer(few)
    except SourceError as error:
        return None, error.what  # whose model it is and what to do, the caller knows
    if ours.shape != theirs.shape:
        return None, "its graph in torch answers in another shape."
    apart = float((ours - theirs).abs().max())
    if not apart <= AGREES * (1 + float(theirs.abs().max())):
        return None, f"its graph in torch answers otherwise (by {apart:.2g})."
    return twin, ""
