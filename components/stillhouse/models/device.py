"""Where a model computes: chosen once for a run, and from then on read off the model itself.

What is stored, drawn or counted stays on the CPU, so that rows come in the same order everywhere
and a file says nothing of the machine.
"""

from itertools import chain

import torch
from torch import nn

from stillhouse.errors import SettingsError

CPU = torch.device("cpu")
WHERE = "STILLHOUSE_DEVICE"


def accelerator() -> torch.device | None:
    """Return the kind of accelerator that torch finds; None where there is only the CPU."""
    return torch.accelerator.current_accelerator(check_available=True)


def chosen(wanted: str) -> torch.device:
    """Return the device that a word stands for.

    Args:
        wanted: A device as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`), or `auto`: the
            accelerator that torch finds, else the CPU. One without float64, as Apple's, is taken
            only by its name: scales and ledgers are kept in it.

    Raises:
        SettingsError: This machine has no such device.

    Example:
        >>> chosen("cpu")
        device(type='cpu')
    """
    if wanted == "auto":
        found = accelerator()
        return found if found is not None and _has_double(found) else CPU
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"torch finds no '{wanted}' here: {str(error).splitlines()[0]}",
            where=WHERE,
            fix="Set it to auto or cpu, or install the torch that has it.",
        ) from None
    return device


def _has_double(device: torch.device) -> bool:
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError, NotImplementedError):
        return False
    return True


def settle(device: torch.device) -> None:
    """Let an accelerator be the one that is drawn from, its products be taken in the precision that
    they are written in, and by algorithms that come to the same bits again, as far as torch has
    such; nothing changes for the CPU.
    """
    if device.type == "cpu":
        return
    if device.index is not None:
        torch.accelerator.set_device_index(device.index)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def seat(device: torch.device, number: int) -> None:
    """Settle a device in one of several processes that work side by side: where it is named
    without a number, as `cuda` is, they take the machine's accelerators in turn.

    Args:
        device: As chosen by the process that started them.
        number: Which of them this is, from 0.
    """
    if device.type != "cpu" and device.index is None:
        torch.accelerator.set_device_index(number % torch.accelerator.device_count())
    settle(device)


def device_of(module: nn.Module) -> torch.device | None:
    """Return where a module's weights lie; None for one without any, which computes where its rows
    are.
    """
    first = next(chain(module.parameters(), module.buffers()), None)
    return None if first is None else first.device
