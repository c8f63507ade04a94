"""Features by module path: look at what a module inside a model returned, without changing the
model.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from stillhouse.errors import UsageError, nearest
from stillhouse.models.outputs import Outputs


def taps_of(model: nn.Module) -> tuple[str, ...]:
    """Return the module paths that can be tapped, in the model's own order."""
    return tuple(name for name, _ in model.named_modules() if name)


def tapped(model: nn.Module, inputs: Tensor, taps: Iterable[str]) -> Outputs:
    """Run a model and keep what the modules at `taps` returned.

    Args:
        model: From inputs to logits [B, C].
        inputs: [B, *shape].
        taps: Module paths such as `net.hidden1`.

    Returns:
        Logits, and a feature a tap; gradients flow through both.

    Raises:
        UsageError: The model has no module of that path (its taps are listed), or the module
            returns something else than a tensor or was not run.
    """
    modules, wanted = dict(model.named_modules()), tuple(taps)
    for tap in wanted:
        if not tap or tap not in modules:
            raise UsageError(
                f"the model has no tap '{tap}'.", fix=nearest(tap, list(taps_of(model)))
            )
    kept: dict[str, Tensor] = {}
    handles = [modules[tap].register_forward_hook(_keep(kept, tap)) for tap in wanted]
    try:
        logits = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    unseen = [tap for tap in wanted if tap not in kept]
    if unseen:
        raise UsageError(
            f"the module '{unseen[0]}' is not run by the model's forward.",
            fix="Tap a module that is.",
        )
    return Outputs(logits, kept)


def _keep(kept: dict[str, Tensor], tap: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 - torch's signature
        if not isinstance(output, Tensor):
            raise UsageError(
                f"the module '{tap}' returns {type(output).__name__}, not a tensor.",
                fix="Tap a module inside it.",
            )
        kept[tap] = output

    return hook
