"""Who was champion when, why, and by whom: the ledger's effective entries, read as a story."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.errors import Corrupt
from stillhouse.release.fetch import Fetch
from stillhouse.release.ledger import NOTHING, Effective, Kind
from stillhouse.release.registry import BY, WHY, Registry
from stillhouse.release.status import problems
from stillhouse.tracking.client import Missing
from stillhouse.workspace import Workspace

LOST = "the verdict is not in the store any more"


@dataclass(frozen=True)
class Reign:
    """The time in which one version was champion.

    Attributes:
        head: The ledger entry that began it.
        version: The champion.
        kind: How it came to be champion.
        since: When it began: ISO 8601, UTC, by MLflow's clock.
        until: When the next one began; None if it lasts.
        replaces: The version that was champion before; None for the first.
        by: Who asked for it, as that process said; empty in entries that do not tell.
        command: What was typed, as that process said; empty in entries that do not tell.
        why: The gate's decision in its own words, from the verdict that the entry is bound to by
            hash.
        evidence: sha256 of that verdict, or `-`.
    """

    head: int
    version: int
    kind: Kind
    since: str
    until: str | None
    replaces: int | None
    by: str
    command: str
    why: str
    evidence: str


def history(registry: Registry) -> dict[str, Any]:
    """Return model, champions (oldest first), entries without effect, and what is wrong with the
    ledger, as `stillhouse history --json` prints them.
    """
    state = registry.state()
    reigns = []
    for at, effective in enumerate(state.effective):
        after = state.effective[at + 1] if at + 1 < len(state.effective) else None
        before = state.effective[at - 1] if at else None
        reigns.append(_reign(registry, effective, before, after))
    return {
        "model": registry.model,
        "champions": [asdict(reign) for reign in reigns],
        "without_effect": state.entries - len(state.effective) - state.looked,
        "problems": problems(registry),
    }


def _reign(
    registry: Registry, made: Effective, before: Effective | None, after: Effective | None
) -> Reign:
    tags = made.entry.tags
    return Reign(
        head=made.entry.number,
        version=made.target,
        kind=made.link.kind,
        since=made.entry.since,
        until=after.entry.since if after else None,
        replaces=before.target if before else None,
        by=tags.get(BY, ""),
        command=tags.get(WHY, ""),
        why=_verdict(registry, made),
        evidence=made.link.evidence,
    )


def _verdict(registry: Registry, made: Effective) -> str:
    """Return the decision of the verdict that an entry is bound to; a lost one is told, for a story
    with a gap is still the story.
    """
    bound = made.link.evidence
    if bound == NOTHING:
        return ""
    storage = registry.entry_storage(made.entry.number).rstrip("/")
    try:
        data = Fetch(registry, Workspace(registry.place.root)).by_hash(
            f"{storage}/evidence/{bound}", bound
        )
        return str(json.loads(data)["why"])
    except (Missing, Corrupt, ValueError, KeyError):
        return LOST
