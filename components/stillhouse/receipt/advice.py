"""Is the teacher worth keeping? What the gains allow to advise, and what a point of it cost."""

from collections.abc import Mapping, Sequence

from stillhouse.evaluation.gain import Gain
from stillhouse.evaluation.measure import Measure
from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json

TEACHING = ("teacher", "knowledge")  # steps that would not be there without a teacher
DROP = "Drop the teacher: labels alone do as well, as far as these rows and seeds can tell."
KNOWS_NOTHING = (
    "Drop the teacher: what was gained is what softer labels give. Its answers tell nothing of a "
    "row that the shares of the classes do not."
)
HARMS = "Drop the teacher: the student does better from labels alone."
DECISIONS = (
    "Its decisions are enough: that its confidences add anything is not shown, so that a service "
    "that names a class would do."
)


def advice(
    gains: Sequence[Json],
    *,
    knows: Sequence[float] | None,
    measure: Measure,
    seconds: Mapping[str, float],
    training: Mapping[str, float],
) -> Json | None:
    """Return what to do about the teacher; None where there is no arm that had none.

    A teacher is kept where the interval of what it gave over labels alone lies above zero and so
    does that of what it knows of a row, and nowhere else; its confidences are needed where that of
    the gain over its decisions does.

    Args:
        gains: The receipt's `teacher_gain`.
        knows: What the teacher knows of a row, [low, estimate, high] in nats; None where nobody can
            say.
        measure: What is gained.
        seconds: Step → seconds of work.
        training: Arm → seconds of one of its trainings, a mean.

    Returns:
        `keep` (bool), `confidences` (bool, or None where nobody compared), `seconds_per_point`
        ([low, estimate, high], or None) and `sentence`.
    """
    found = {gain["over"]: Gain(gain["estimate"], *gain["interval"]) for gain in gains}
    if "none" not in found:
        return None
    over = found["none"]
    sure = found["hard"].low > 0 if "hard" in found else None
    if not helped(over, knows):
        told = KNOWS_NOTHING if over.low > 0 else HARMS if over.high < 0 else DROP
        return {"keep": False, "confidences": sure, "seconds_per_point": None, "sentence": told}
    price = per_point(over, seconds, training) if measure.more_is_better else None
    parts = [] if price is None else [_priced(price)]
    if sure is False:
        parts.append(DECISIONS)
    return {
        "keep": True,
        "confidences": sure,
        "seconds_per_point": price,
        "sentence": " ".join(parts),
    }


def helped(over: Gain, knows: Sequence[float] | None) -> bool:
    """Return whether a teacher is shown to have helped.

    Args:
        over: The student's gain over labels alone.
        knows: What the teacher knows of a row; None where nobody can say.
    """
    return over.low > 0 and (knows is None or knows[0] > 0)


def per_point(
    over: Gain, seconds: Mapping[str, float], training: Mapping[str, float]
) -> list[float] | None:
    """Return [low, estimate, high] of the seconds of work that each point over labels alone cost:
    the teacher, its answers, and what a training with it takes longer. None where it cost nothing
    that was measured.

    Args:
        over: The gain over labels alone, a share with its interval above zero.
        seconds: Step → seconds of work.
        training: Arm → seconds of one of its trainings.
    """
    longer = max(0.0, training.get("student", 0.0) - training.get("none", 0.0))
    spent = sum(seconds.get(step, 0.0) for step in TEACHING) + longer
    if spent <= 0:
        return None
    return [spent / (100 * gain) for gain in (over.high, over.estimate, over.low)]


def _priced(price: Sequence[float]) -> str:
    low, estimate, high = (numbers.fixed(value, 1 if value < 100 else 0) for value in price)
    return (
        f"Each point over labels alone cost {estimate}{NBSP}s of work [{low}, {high}]: the "
        "teacher, its answers, and a training that takes longer."
    )


def untold(transfer: Json | None) -> str:
    """Return what of the teacher the student was not told, in a sentence; empty where it was told
    everything.

    Args:
        transfer: What `distill` wrote.
    """
    if transfer is None:
        return ""
    name, share = numbers.plain(transfer["selector"]["name"], 24), transfer["share"]
    least = transfer["by_class"][0]
    return (
        f"The selector {name} passed on {numbers.percent(share)}{NBSP}% of what the teacher said; "
        f"{numbers.count(transfer['nothing'], 'row')} got nothing of it. Least was passed on in "
        f"class {numbers.plain(least['class'], 24)}, {numbers.percent(least['share'])}{NBSP}%."
    )
