"""Who gives what: one check, so that a method that needs features is refused a black box by
name.
"""

from collections.abc import Iterable

from stillhouse.errors import UsageError


def require(who: str, needs: Iterable[str], giver: str, gives: Iterable[str]) -> None:
    """Refuse a pairing in which `who` needs what `giver` cannot give.

    Args:
        who: The method, attack or exporter, by name.
        needs: Some of logits, features, gradients.
        giver: The model or teacher, by name.
        gives: What it has of those.

    Raises:
        UsageError: Something is missing.
    """
    missing = sorted(set(needs) - set(gives))
    if missing:
        raise UsageError(
            f"'{who}' needs {' and '.join(missing)}, which '{giver}' does not give.",
            fix=f"Choose a model that gives {', '.join(missing)}, or another plugin.",
        )


def accept(who: str, accepts: Iterable[str], kind: str) -> None:
    """Refuse a plugin on data of a kind that it does not take.

    Raises:
        UsageError: `kind` is not among them.
    """
    if kind not in set(accepts):
        raise UsageError(
            f"'{who}' takes {' or '.join(sorted(accepts))}, not {kind} data.",
            fix="Choose a plugin for this kind; `stillhouse plugins` lists them.",
        )
