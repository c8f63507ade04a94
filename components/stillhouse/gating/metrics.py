"""What a rule may speak about: every metric by name, its unit, and whether rows of two models can
be paired under it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that a run can judge.

    Attributes:
        name: Its path.
        unit: share (0 to 1), nats, kB, …; empty if dimensionless.
        paired: Whether it is right or wrong by row for other models too, so that the student can be
            compared with them.
    """

    name: str
    unit: str = ""
    paired: bool = False


CATALOGUE = {
    metric.name: metric
    for metric in (
        Metric("test/accuracy", "share", paired=True),
        Metric("test/balanced_accuracy", "share"),
        Metric("test/nll", "nats"),
        Metric("test/brier"),
        Metric("test/ece", "share"),
        Metric("edge/size_kb", "kB"),
        Metric("edge/int8_size_kb", "kB"),
        Metric("edge/parity_max_error"),
        Metric("edge/int8_agreement", "share"),
        Metric("edge/int8_accuracy", "share"),
        Metric("edge/macs", "MACs"),
        Metric("edge/parameters", "parameters"),
        Metric("robust/linf/accuracy", "share"),
        Metric("robust/l2/accuracy", "share"),
        Metric("corruption/mean_accuracy", "share"),
    )
}
EXACT = (
    "edge/size_kb",
    "edge/int8_size_kb",
    "edge/parity_max_error",
    "edge/macs",
    "edge/parameters",
)
FAMILIES = ("robust/<attack>/accuracy", "corruption/<name>/accuracy")
_FAMILY = re.compile(r"(robust|corruption)/[^/]+/accuracy")
NORMS = ("linf", "l2")


def find(name: str) -> Metric | None:
    """Return the metric of that name, also one of an attack's or a corruption's own; None if there
    is none.
    """
    return CATALOGUE.get(name) or (Metric(name, "share") if _FAMILY.fullmatch(name) else None)


def known_metrics(
    attacks: Mapping[str, str] | None = None, corruptions: Collection[str] | None = None
) -> list[str]:
    """Return the names that a rule can write, sorted.

    Args:
        attacks: Norm by label of the attacks that the run makes; None where they are not known yet:
            any may be named.
        corruptions: Names of its corruptions; None as above.
    """
    names = set(CATALOGUE)
    if attacks is not None:
        names -= {f"robust/{norm}/accuracy" for norm in NORMS if norm not in attacks.values()}
    if corruptions is not None and not corruptions:
        names.remove("corruption/mean_accuracy")
    names |= (
        {FAMILIES[0]}
        if attacks is None
        else {f"robust/{label}/accuracy" for label in ("clean", *attacks)}
    )
    names |= (
        {FAMILIES[1]}
        if corruptions is None
        else {f"corruption/{name}/accuracy" for name in corruptions}
    )
    return sorted(names)


def allows(known: Collection[str], name: str) -> bool:
    """Whether `name` is one of the known metrics, or of a family that is still open."""
    family = name not in CATALOGUE and find(name) is not None
    return name in known or (family and FAMILIES[0 if name.startswith("robust/") else 1] in known)
