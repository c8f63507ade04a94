"""What is in production, as the ledger says it."""

from typing import Any

from stillhouse.release import memory
from stillhouse.release.aliases import agree
from stillhouse.release.fetch import fingerprint_of
from stillhouse.release.ledger import State, fold
from stillhouse.release.registry import Registry
from stillhouse.tracking.client import Missing


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
        "problems": problems(registry),
    }


def problems(registry: Registry) -> list[str]:
    """Return what is wrong with the ledger, a sentence each; empty where all is well.

    None of it changes who is champion.
    """
    entries, seen = registry.entries(), memory.recall(registry)
    state = fold(entries, registry.model)
    why = memory.complaint(entries, registry.model, seen)
    found = [f"{why} {memory.FIX}"] if why else []
    found += [f"entry {number} was deleted." for number in state.holes if number not in seen.holes]
    found += [f"{sentence}." for sentence in state.odd]
    found += _deleted(registry, state)
    there = None if state.last else memory.stranger(registry)
    if there is not None:
        found.append(
            f"version {there} is champion by its alias, and the ledger is empty: "
            f"`stillhouse adopt {there}`."
        )
    return found


def _deleted(registry: Registry, state: State) -> list[str]:
    if state.champion is None:
        return []
    try:
        registry.version(state.champion)
    except Missing:
        return [
            f"version {state.champion}, the champion, was deleted from the registry: its files "
            "are still found by the ledger, but no alias can name it."
        ]
    return []


def _champion(registry: Registry, state: State) -> dict[str, Any] | None:
    if state.last is None:
        return None
    return {
        "version": state.last.target,
        "head": state.head,
        "since": state.last.entry.since,
        "sha256": fingerprint_of(registry, state.last),
    }
