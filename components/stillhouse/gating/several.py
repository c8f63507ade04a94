"""What is measured of a student that gives several labels a row: by row whether every label is
right, and what share is wrong, of every model, so that two can be compared on the same rows.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from stillhouse.evaluation import label_trust, labels
from stillhouse.gating import label_points
from stillhouse.gating.evidence import Errors, Groups, Measured, Resampled, Rows
from stillhouse.gating.resampled import resample, resample_counts
from stillhouse.gating.trusted import of_slices, slice_flips

if TYPE_CHECKING:
    from stillhouse.gating.collect import Outcomes

F1 = {"test/micro_f1": labels.micro_of_sums, "test/macro_f1": labels.macro_of_sums}
RANKED = {"test/map": labels.mean_precision, "test/macro_auc": labels.mean_area}
ECE, WORST_ECE = "test/ece", "test/worst_ece"
RESAMPLED = (*F1, *RANKED, "test/nll", ECE, WORST_ECE)
DRAWS, CELLS = 2000, 40_000_000  # resamples, and what rankings of very many rows may cost


def measured(found: "Outcomes", asked: Collection[str]) -> dict[str, Measured]:
    """Return evidence by metric.

    Args:
        found: What earlier steps left; targets are labels [N, L].
        asked: Metrics that rules name; of those that cost resampling only these are made.
    """
    targets = found.targets[found.known]
    odds = {who: told[found.known] for who, told in found.logits.items()}
    right = {who: labels.exact_rows(told, targets).numpy() for who, told in odds.items()}
    missed = {who: labels.hamming_rows(told, targets).numpy() for who, told in odds.items()}
    own = odds["student"]
    told: dict[str, Measured] = {
        "test/exact_match": Rows(right),
        "test/hamming_loss": Errors(missed, "share"),
        **{
            name: resampled(name, own, targets)
            for name in RESAMPLED
            if name in asked and (name != WORST_ECE or calibrated(targets))
        },
    }
    bad, yes = labels.wrong(own, targets), targets == 1
    by_name = dict(enumerate(found.classes))
    known = ~targets.isnan()
    told["test/worst_label"] = _groups(
        {name: ~bad[known[:, at], at] for at, name in by_name.items()}
    )
    told["test/worst_found"] = _groups({name: ~bad[yes[:, at], at] for at, name in by_name.items()})
    if sliced := of_slices(found, ~bad.any(dim=1)):
        sure = of_slices(found, labels.belief_rows(own, targets))
        expected = {name: float(each.mean()) for name, each in sure.items()}
        told["slices/worst"] = Groups(sliced, expected)
    if "teacher" in odds:
        same = (labels.decided(own) == labels.decided(odds["teacher"])).all(dim=1)
        told["fidelity/agreement"] = Rows({"student": same.numpy()})
    if found.label_points:
        told |= label_points.measured(odds, targets, found.classes, found.label_points)
    return {**told, **_flips(found, odds, targets), **_int8(found, own, targets)}


def calibrated(targets: Tensor) -> bool:
    """Whether some label is known in enough rows for its calibration to be told."""
    return bool(((~targets.isnan()).sum(dim=0) >= label_trust.FEWEST).any())


def resampled(name: str, odds: Tensor, targets: Tensor) -> Resampled:
    """Return one of the metrics whose doubt comes from resampled rows."""
    if name in F1:
        return resample(labels.f1_parts(odds, targets), F1[name])
    if name == ECE:
        return resample(label_trust.ece_parts(odds, targets), label_trust.ece_of_sums)
    if name == WORST_ECE:
        return resample(label_trust.worst_parts(odds, targets), label_trust.worst_of_sums)
    n = len(targets)
    if name == "test/nll":
        rows = labels.nll_rows(odds.double(), targets.double())
        return resample(rows[:, None], lambda sums: sums[:, 0] / n)
    of, mean = labels.ranked(odds, targets), RANKED[name]
    draws = max(200, min(DRAWS, CELLS // targets.numel()))
    return resample_counts(lambda counts: mean(of, counts), n, count=draws)


def _flips(found: "Outcomes", odds: Mapping[str, Tensor], targets: Tensor) -> dict[str, Measured]:
    """Rows of which the champion had every label right and the student has not, and single labels
    that turned wrong.
    """
    if "champion" not in odds:
        return {}
    before, now = odds["champion"], odds["student"]
    lost = labels.exact_rows(before, targets) & ~labels.exact_rows(now, targets)
    turned = ~labels.wrong(before, targets) & labels.wrong(now, targets)
    known = ~targets.isnan()
    of = {f"label {name}": known[:, at] for at, name in enumerate(found.classes)}
    each = {
        name: turned[inside, at].numpy()
        for at, (name, inside) in enumerate(of.items())
        if inside.any()
    }
    told: dict[str, Measured] = {
        "flips/negative": Rows({"student": lost.numpy()}),
        "flips/worst_label": Groups(each, inside={name: of[name].numpy() for name in each}),
    }
    return {**told, **slice_flips(found, lost)}


def _int8(found: "Outcomes", own: Tensor, targets: Tensor) -> dict[str, Measured]:
    if found.int8 is None:
        return {}
    small = found.int8[found.known]
    same = (labels.decided(own) == labels.decided(small)).all(dim=1)
    return {
        "edge/int8_agreement": Rows({"student": same.numpy()}),
        "edge/int8_exact_match": Rows({"student": labels.exact_rows(small, targets).numpy()}),
    }


def _groups(outcomes: Mapping[str, Tensor]) -> Groups:
    return Groups({f"label {name}": own.numpy() for name, own in outcomes.items() if len(own)})
