"""What is in production, as the ledger says it."""

from typing import Any

from stillhouse.release.aliases import agree
from stillhouse.release.fetch import fingerprint_of
from stillhouse.release.ledger import State
from stillhouse.release.registry import Registry


def status(registry: Registry) -> dict[str, Any]:
    """Return model, champion, challenger, previous, ledger and whether the aliases agree, as
    `stillhouse status --json` prints them.
    """
    state, aliases = registry.state(), registry.aliases()
    return {
        "model": registry.model,
        "champion": _champion(registry, state),
        "challenger": aliases.get("challenger"),
        "previous": state.previous,
        "ledger": {"head": state.head, "entries": state.entries, "effective": len(state.effective)},
        "aliases_agree": agree(state, aliases),
    }


def problems(registry: Registry) -> list[str]:
    """Return what is wrong with the ledger, a sentence each; empty where all is well.

    None of it changes who is champion.
    """
    state = registry.state()
    holes = [f"entry {number} was deleted" for number in state.holes]
    return holes + list(state.odd)


def _champion(registry: Registry, state: State) -> dict[str, Any] | None:
    if state.last is None:
        return None
    return {
        "version": state.last.target,
        "head": state.head,
        "since": state.last.entry.since,
        "sha256": fingerprint_of(registry, state.last),
    }
