"""Which attacks and corruptions a student is examined with: those that settings name, or a few that
take its rows.
"""

from collections.abc import Mapping, Sequence

from stillhouse import config, plugins
from stillhouse.config import Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import UsageError
from stillhouse.models.access import accept
from stillhouse.robustness.case import Case, make_cases
from stillhouse.robustness.corruption import Corruption

DEFAULT_ATTACKS: tuple[Spec, ...] = ({"name": "pgd", "norm": "linf", "epsilon": 0.1},)
# A few of each kind, so that a plain run stays short; the others are there by name.
DEFAULT_CORRUPTIONS: Mapping[str, tuple[str, ...]] = {
    "image": ("blur", "contrast", "noise"),
    "series": ("drift", "dropout", "noise"),
    "table": ("missing_cells", "noise"),
}


def chosen_cases(
    specs: Sequence[Spec] | None, schema: Schema
) -> tuple[list[Case], list[dict[str, str]]]:
    """Return the attacks that are named, or the defaults that take such rows, and what was left
    out, with the reason.

    Raises:
        UsageError: One that is named does not take such rows.
    """
    if specs is not None:
        named = make_cases(specs, "robustness.attacks")
        for case in named:
            accept(case.name, case.attack.accepts, schema.kind)
        return named, []
    cases = make_cases(DEFAULT_ATTACKS, "robustness.attacks")
    return [c for c in cases if schema.kind in c.attack.accepts], [
        _left_out(c.label, c.attack.accepts, schema)
        for c in cases
        if schema.kind not in c.attack.accepts
    ]


def chosen_corruptions(
    specs: Sequence[Spec] | None, schema: Schema
) -> tuple[dict[str, Corruption], list[dict[str, str]]]:
    """Return corruptions by name as `chosen_cases` does attacks. Errors as there."""
    if specs is not None:
        named = {
            str(spec["name"]): config.plugin(
                "corruptions", spec, where=f"robustness.corruptions.{at}"
            )
            for at, spec in enumerate(specs)
        }
        for name, corruption in named.items():
            accept(name, corruption.accepts, schema.kind)
            if corruption.empties and not _may_miss(schema):
                raise UsageError(
                    f"'{name}' empties cells, and {_NONE_MISSING}",
                    fix="Leave it out of robustness.corruptions.",
                )
            if corruption.misspells and not any(f.kind == "category" for f in schema.features):
                raise UsageError(
                    f"'{name}' misspells categories, and the data have none.",
                    fix="Leave it out of robustness.corruptions.",
                )
        return named, []
    names = DEFAULT_CORRUPTIONS.get(schema.kind, ())
    if not names:
        return {}, [{"name": "corruptions", "reason": f"none is a default for {schema.kind} data."}]
    known: dict[str, Corruption] = {name: plugins.load("corruptions", name)() for name in names}
    kept = {
        name: corruption
        for name, corruption in known.items()
        if _may_miss(schema) or not corruption.empties
    }
    return kept, [{"name": name, "reason": _NONE_MISSING} for name in known if name not in kept]


_NONE_MISSING = "the schema lets no cell be missing."


def _may_miss(schema: Schema) -> bool:
    return any(feature.missing for feature in schema.features)


def _left_out(name: str, accepts: frozenset[str], schema: Schema) -> dict[str, str]:
    return {
        "name": name,
        "reason": f"it takes {' or '.join(sorted(accepts))}, not {schema.kind} data.",
    }
