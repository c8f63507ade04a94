"""Attacks and corruptions in words, and the plain student under the same ones."""

from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading

ACRONYM = 4  # letters at most
NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}


def attack(receipt: Json, label: str) -> str:
    """Return an attack with its norm and epsilon, for no accuracy under attack means anything
    without them.
    """
    found: Json = next(
        (a for a in receipt["evidence"]["robustness"]["attacks"] if a.get("label") == label), {}
    )
    return attack_of({"name": label, **found}) if found else numbers.plain(label, 40)


def attack_of(found: Json) -> str:
    """Return an attack, as it is stored, with its norm and epsilon."""
    label = str(found.get("name"))
    norm = NORMS.get(str(found.get("norm")), numbers.plain(found.get("norm") or "", 8))
    if found.get("epsilon") is None:
        return numbers.plain(label, 40)
    return f"{_attack_name(str(found.get('name', label)))}, {norm} {found['epsilon']:g}".replace(
        " ", NBSP
    )


def _attack_name(name: str) -> str:
    """Short names of attacks are acronyms (PGD, FGSM), longer ones are words."""
    return numbers.plain(
        name.upper() if len(name) <= ACRONYM else numbers.capital(name.replace("_", " ")), 24
    )


def corruption(name: str) -> str:
    """Return a corruption's name in words."""
    return numbers.plain(name.replace("_", " "), 24)


def plain(receipt: Json) -> list[str]:
    """Return what the student without attacks in its training withstands, in a sentence; none where
    there is no such student.
    """
    found = (receipt["evidence"]["robustness"].get("beside") or {}).get("plain")
    if found is None or not found["worst"]:
        return []
    norm, worst = min(found["worst"].items(), key=lambda entry: (entry[1][1], entry[0]))
    return [
        f"The plain student beside it keeps {numbers.percent(worst[1])}{NBSP}% "
        f"{numbers.spread(worst)} under {NORMS.get(norm, norm)}, and "
        f"{numbers.percent(found['clean'][1])}{NBSP}% unattacked."
    ]


def beside(receipt: Json) -> list[Json]:
    """Return clean accuracy and that under each attack, of the student and of the plain one beside
    it; nothing where there is none.
    """
    found = (receipt["evidence"]["robustness"].get("beside") or {}).get("plain")
    if found is None:
        return []
    student = receipt["student"][reading(receipt).key]
    rows = [{"label": "not attacked", "own": _per_cent(student), "plain": found["clean"]}]
    rows += [
        {
            "label": attack(receipt, one["label"]),
            "own": _per_cent(receipt["robustness"][one["label"]]),
            "plain": one["accuracy"],
        }
        for one in found["attacks"]
        if one["label"] in receipt["robustness"]
    ]
    return [{**row, "plain": _per_cent(row["plain"])} for row in rows]


def _per_cent(interval: list[float]) -> list[float]:
    return [100 * value for value in interval]
