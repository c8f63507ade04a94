"""What one arm gained over another, when both were trained from the same seeds and judged on the
same rows.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import DataError
from stillhouse.evaluation.intervals import resamples
from stillhouse.evaluation.measure import Measure
from stillhouse.evaluation.tasks import CLASSIFICATION, Task


class Gain(NamedTuple):
    """A difference of accuracies, as a share (0.03 is 3 points), with its interval."""

    estimate: float
    low: float
    high: float


def two_way(a: Tensor, b: Tensor, *, seed: int = 0, level: float = 0.95, count: int = 2000) -> Gain:
    """Return mean(a) − mean(b) with the interval of a two-way bootstrap.

    Seeds and rows are drawn independently, each with replacement, and both arms get the same draw:
    the interval speaks of other seeds *and* other rows. Rows alone would call luck of the seeds a
    gain; seeds alone would call luck of the test set one.

    Args:
        a: Whether seed s's model got row n right, [S, N], bool or 0/1.
        b: The same for the other arm: same seeds, same rows, same order.
        seed: Of the draws.
        level: Nominal coverage.
        count: Resamples.

    Raises:
        DataError: The two arms differ in seeds or rows, or there are none.

    Source:
        Owen and Eckles 2012, arXiv:1106.2125 (resampling each factor of crossed data
        independently).

    Example:
        >>> gain = two_way(torch.ones(2, 10), torch.zeros(2, 10))
        >>> gain.estimate, gain.low, gain.high
        (1.0, 1.0, 1.0)
    """
    if a.shape != b.shape or a.ndim != 2 or not a.numel():
        raise DataError(
            f"two arms need the same seeds and rows, not {tuple(a.shape)} and {tuple(b.shape)}."
        )
    difference = a.double() - b.double()
    seeds, rows = difference.shape
    generator = np.random.default_rng(seed)
    of_seeds = (
        torch.from_numpy(np.concatenate(list(resamples(seeds, count, generator)))) @ difference
    )
    drawn, start = [], 0
    for weights in resamples(rows, count, generator):
        drawn.append(
            (of_seeds[start : start + len(weights)] * torch.from_numpy(weights)).sum(dim=1)
            / (seeds * rows)
        )
        start += len(weights)
    tail = (1 - level) / 2
    low, high = np.quantile(torch.cat(drawn).numpy(), [tail, 1 - tail])
    return Gain(float(difference.mean()), float(low), float(high))


PLAIN = "plain"  # the control that differs from the student in its attacks, not in its teacher
_WITHOUT = "no_"  # and the name of the part of a method that the control lacks


def sentence(
    over: str,
    gain: Gain,
    over_none: Gain | None = None,
    task: Task = CLASSIFICATION,
    *,
    knows: bool = True,
) -> str:
    """Return what a gain says of the teacher, in one sentence; points are differences of per cents.

    Confidences can beat decisions and still be worth nothing: a useless teacher's soft answers do
    less harm than its hard ones. So a gain over another control counts as help only where the
    student also gained over labels alone, and no gain does where the teacher tells nothing of a
    row: softer labels would have done as much.

    Args:
        over: The control arm: `none`, `hard`, `smooth`, `shuffled`, `plain` or `no_<part>`; another
            arm is called by its name.
        gain: The student's accuracy minus the control's.
        over_none: The student's gain over labels alone, if that arm was trained.
        task: What is predicted, and so what was gained.
        knows: Whether the teacher is shown to know anything of a single row.

    Example:
        >>> sentence("hard", Gain(0.030, 0.019, 0.042))
        "The teacher's confidences gave 3.0 points beyond its decisions [1.9, 4.2]."
        >>> sentence("none", Gain(0.003, -0.004, 0.010))
        'No evidence that the teacher helped: +0.3 points [−0.4, +1.0] over labels alone.'
    """
    named = (
        (f"The part {over.removeprefix(_WITHOUT)}", "beyond the other parts")
        if over.startswith(_WITHOUT)
        else ("The teacher", f"over {over}")
    )
    who, compared = task.controls.get(over, named)
    measure = task.measure
    if gain.low > 0 and not knows and over != PLAIN:
        return (
            f"No evidence that {who[0].lower()}{who[1:]} helped: {_told(gain, measure)} "
            f"{compared}, but what the teacher says of a row tells nothing of it."
        )
    if gain.low > 0 and over_none is not None and over_none.low <= 0:
        return (
            f"No evidence that {who[0].lower()}{who[1:]} helped: {_told(gain, measure)} "
            f"{compared}, but nothing gained over labels alone."
        )
    if gain.low > 0:
        low, high = (_amount(end, measure) for end in (gain.low, gain.high))
        gave = f"{_amount(gain.estimate, measure)}{_noun(measure)}"
        return f"{who} {_verb(measure)} {gave} {compared} [{low}, {high}]."
    numbers = f"{_told(gain, measure)} {compared}"
    if gain.high < 0:
        return f"{who} hurt: {numbers}."
    return f"No evidence that {who[0].lower()}{who[1:]} helped: {numbers}."


def _verb(measure: Measure) -> str:
    return "gave" if measure.more_is_better else "took off"


def _noun(measure: Measure) -> str:
    """Points of accuracy; an error's unit, and of what."""
    if measure.more_is_better:
        return f" {measure.amount}"
    return f"{' ' if measure.amount else ''}{measure.amount} of {measure.label.lower()}"


def _told(gain: Gain, measure: Measure) -> str:
    """An error is told as what was added to it, so that its sign says what it seems to say."""
    sign = 1 if measure.more_is_better else -1
    low, high = sorted((sign * gain.low, sign * gain.high))
    ends = f"[{_signed(low, measure)}, {_signed(high, measure)}]"
    return f"{_signed(sign * gain.estimate, measure)}{_noun(measure)} {ends}"


def _amount(value: float, measure: Measure) -> str:
    """Points have one decimal; of an error three digits count."""
    read = measure.scale * value
    if measure.more_is_better:
        return f"{read:.1f}"
    digits = next((digits for digits in range(6) if abs(read) >= 10.0 ** (2 - digits)), 6)
    return f"{read:.{digits}f}"


def _signed(value: float, measure: Measure) -> str:
    """A true minus, a sign on every difference but zero."""
    text = _amount(abs(value), measure)
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text
