"""What a rule may speak about: every metric by name, its unit, and whether rows of two models can
be paired under it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

EVERY = frozenset({"classification", "regression", "multi_label"})
OF_CLASSES, OF_QUANTITIES = frozenset({"classification"}), frozenset({"regression"})
OF_LABELS = frozenset({"multi_label"})
RIGHT_OR_WRONG = OF_CLASSES | OF_LABELS


@dataclass(frozen=True)
class Metric:
    """A number that a run can judge.

    Attributes:
        name: Its path.
        unit: share (0 to 1), nats, kB, …; empty if dimensionless.
        paired: Whether it is known by row for other models too, so that the student can be compared
            with them.
        champion_only: Whether the only other model is the champion, attacked as the student is.
        champion: Whether it compares with the champion, so that before the first promotion there
            is nothing to measure.
        less: Whether less of it is better: a student is then compared by at most how much more it
            has.
        tasks: What has to be predicted for it to be measured.
    """

    name: str
    unit: str = ""
    paired: bool = False
    champion_only: bool = False
    champion: bool = False
    less: bool = False
    tasks: frozenset[str] = EVERY


DRIFT = "drift/features"
ALARMS = "robust/masking/alarms"
NORMS = (
    "linf",
    "l2",
    "l1",
    "l0",
    "patch",
    "geometry",
    "category",
    "channels",
    "drift",
    "skew",
)
CATALOGUE = {
    metric.name: metric
    for metric in (
        Metric("test/accuracy", "share", paired=True, tasks=OF_CLASSES),
        Metric("test/balanced_accuracy", "share", tasks=OF_CLASSES),
        Metric("test/nll", "nats", tasks=RIGHT_OR_WRONG),
        Metric("test/brier", tasks=OF_CLASSES),
        Metric("test/ece", "share", tasks=RIGHT_OR_WRONG),
        Metric("test/adaptive_ece", "share", tasks=OF_CLASSES),
        Metric("test/aurc", "share", tasks=OF_CLASSES),
        Metric("test/worst_class", "share", tasks=OF_CLASSES),
        Metric("fidelity/agreement", "share", tasks=RIGHT_OR_WRONG),
        Metric("fidelity/worst_class", "share", tasks=OF_CLASSES),
        Metric("slices/worst", "share", tasks=RIGHT_OR_WRONG),
        Metric("ood/noise", "share", tasks=OF_CLASSES),
        Metric("ood/mixed", "share", tasks=OF_CLASSES),
        Metric("flips/negative", "share", champion=True, tasks=RIGHT_OR_WRONG),
        Metric("flips/worst_class", "share", champion=True, tasks=OF_CLASSES),
        Metric("flips/worst_slice", "share", champion=True, tasks=RIGHT_OR_WRONG),
        Metric("test/auc", "share", paired=True, tasks=OF_CLASSES),
        Metric("test/sensitivity", "share", paired=True, tasks=OF_CLASSES),
        Metric("test/specificity", "share", paired=True, tasks=OF_CLASSES),
        Metric("test/precision", "share", tasks=OF_CLASSES),
        Metric("test/rmse", paired=True, less=True, tasks=OF_QUANTITIES),
        Metric("test/mae", paired=True, less=True, tasks=OF_QUANTITIES),
        Metric("test/r2", tasks=OF_QUANTITIES),
        Metric("test/pinball", paired=True, less=True, tasks=OF_QUANTITIES),
        Metric("test/coverage", "share", paired=True, tasks=OF_QUANTITIES),
        Metric("test/exact_match", "share", paired=True, tasks=OF_LABELS),
        Metric("test/hamming_loss", "share", paired=True, less=True, tasks=OF_LABELS),
        Metric("test/micro_f1", "share", tasks=OF_LABELS),
        Metric("test/macro_f1", "share", tasks=OF_LABELS),
        Metric("test/map", "share", tasks=OF_LABELS),
        Metric("test/macro_auc", "share", tasks=OF_LABELS),
        Metric("test/worst_ece", "share", tasks=OF_LABELS),
        Metric("test/called_exact_match", "share", paired=True, tasks=OF_LABELS),
        Metric("test/worst_sensitivity", "share", tasks=OF_LABELS),
        Metric("test/worst_specificity", "share", tasks=OF_LABELS),
        Metric("test/worst_precision", "share", tasks=OF_LABELS),
        Metric("test/worst_label", "share", tasks=OF_LABELS),
        Metric("test/worst_found", "share", tasks=OF_LABELS),
        Metric("flips/worst_label", "share", champion=True, tasks=OF_LABELS),
        Metric("edge/size_kb", "kB"),
        Metric("edge/int8_size_kb", "kB"),
        Metric("edge/parity_max_error"),
        Metric("edge/int8_agreement", "share", tasks=RIGHT_OR_WRONG),
        Metric("edge/int8_accuracy", "share", tasks=OF_CLASSES),
        Metric("edge/int8_mae", less=True, tasks=OF_QUANTITIES),
        Metric("edge/int8_exact_match", "share", tasks=OF_LABELS),
        Metric("edge/macs", "MACs"),
        Metric("edge/parameters", "parameters"),
        *(
            Metric(
                f"robust/{norm}/accuracy",
                "share",
                paired=True,
                champion_only=True,
                tasks=OF_CLASSES,
            )
            for norm in NORMS
        ),
        *(Metric(f"robust/{norm}/exact_match", "share", tasks=OF_LABELS) for norm in NORMS),
        Metric(ALARMS, less=True, tasks=OF_CLASSES),
        Metric("robust/certified/accuracy", "share", tasks=OF_CLASSES),
        Metric("corruption/mean_accuracy", "share", tasks=OF_CLASSES),
        Metric("corruption/mean_mae", less=True, tasks=OF_QUANTITIES),
        Metric("corruption/mean_exact_match", "share", tasks=OF_LABELS),
        Metric(DRIFT, "share", champion=True),
    )
}
EXACT = (
    "edge/size_kb",
    "edge/int8_size_kb",
    "edge/parity_max_error",
    "edge/macs",
    "edge/parameters",
    DRIFT,
    ALARMS,
)
FAMILIES: Mapping[str, re.Pattern[str]] = {
    "robust/<attack>/accuracy": re.compile(r"robust/[^/]+/accuracy"),
    "corruption/<name>/accuracy": re.compile(r"corruption/[^/]+/accuracy"),
    "ood/<name>": re.compile(r"ood/[^/]+"),
    "robust/<attack>/exact_match": re.compile(r"robust/[^/]+/exact_match"),
    "corruption/<name>/exact_match": re.compile(r"corruption/[^/]+/exact_match"),
    "corruption/<name>/mae": re.compile(r"corruption/[^/]+/mae"),
    "robust/<attack>/mae": re.compile(r"robust/[^/]+/mae"),
    "robust/<attack>/within": re.compile(r"robust/[^/]+/within"),
}


def find(name: str) -> Metric | None:
    """Return the metric of that name, also one of an attack's or a corruption's own; None if there
    is none.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    family = next((one for one, of in FAMILIES.items() if of.fullmatch(name)), None)
    if family is None:
        return None
    if family.endswith("/mae"):
        return Metric(name, less=True, tasks=OF_QUANTITIES)
    if family.endswith("/exact_match"):
        return Metric(name, "share", tasks=OF_LABELS)
    return Metric(name, "share", tasks=OF_QUANTITIES if family.endswith("in") else OF_CLASSES)


def known_metrics(
    attacks: Mapping[str, str] | None = None,
    corruptions: Collection[str] | None = None,
    others: Collection[str] | None = None,
) -> list[str]:
    """Return the names that a rule can write, sorted.

    Args:
        attacks: Norm by label of the attacks that the run makes; None where they are not known yet:
            any may be named.
        corruptions: Names of its corruptions; None as above.
        others: Names of the data sets that it is asked beside its own; None as above.
    """
    names = set(CATALOGUE)
    if attacks is not None:
        unused = [norm for norm in NORMS if norm not in attacks.values()]
        names -= {f"robust/{norm}/{of}" for norm in unused for of in ("accuracy", "exact_match")}
    if corruptions is not None and not corruptions:
        names -= {f"corruption/mean_{of}" for of in ("accuracy", "mae", "exact_match")}
    given = {
        "robust": None if attacks is None else [*attacks],
        "corruption": corruptions,
        "ood": others,
    }
    for family in FAMILIES:
        kind, _, rest = family.partition("/")
        of = rest.partition("/")[2]
        told = given[kind]
        names |= {family} if told is None else {_path(kind, name, of) for name in told}
    clean = {"robust/clean/accuracy", "robust/clean/exact_match"}
    return sorted(names if attacks is None else names | clean)


def _path(kind: str, name: str, of: str) -> str:
    return f"{kind}/{name}/{of}" if of else f"{kind}/{name}"


def allows(known: Collection[str], name: str) -> bool:
    """Whether `name` is one of the known metrics, or of a family that is still open."""
    return name in known or any(
        family in known and of.fullmatch(name) and name not in CATALOGUE
        for family, of in FAMILIES.items()
    )
