"""What this workspace has seen of a ledger, so that one that was cut, edited or restored from an
old back-up is not believed.

MLflow keeps entries as they are, but its database can be changed by whoever runs it. A head says
that entries are gone; the chain behind it says that one of them is another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import HIDDEN
from stillhouse.errors import Corrupt, Refused, UsageError
from stillhouse.release import ledger
from stillhouse.release.ledger import Entry, State
from stillhouse.release.registry import Registry
from stillhouse.tracking.storable import storable
from stillhouse.workspace import Workspace, sha256_bytes

FOLDER = f"{HIDDEN}/registry"
LONGEST_REASON = 300  # characters
FIX = (
    "Restore MLflow's newest back-up; if this one has to do: "
    "`stillhouse ledger accept-restore --reason '…'`."
)


@dataclass(frozen=True)
class Seen:
    """The newest state of a ledger that was read from here.

    Attributes:
        head: Its head; 0 before the first.
        chain: The hash over all that took effect up to there; empty if it is not known.
        holes: Deleted entries that an operator accepted.
        accepted: What an operator accepted, oldest first, for people.
    """

    head: int = 0
    chain: str = ""
    holes: tuple[int, ...] = ()
    accepted: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Accepted:
    """A ledger that is believed again.

    Attributes:
        head: Its head.
        before: The head that had been seen.
        champion: The version that it names, or None.
    """

    head: int
    before: int
    champion: int | None


def recall(registry: Registry) -> Seen:
    """Return what was seen of the model's ledger from this workspace."""
    workspace, name = Workspace(registry.place.root), _name(registry)
    if not (workspace.root / name).is_file():
        return Seen()
    kept = workspace.read_json(name)
    return Seen(
        int(kept["head"]),
        str(kept.get("chain", "")),
        tuple(kept.get("holes", ())),
        tuple(kept.get("accepted", ())),
    )


def complaint(entries: Iterable[Entry], model: str, seen: Seen) -> str:
    """Return why a ledger does not continue what was seen of it; empty if it does."""
    entries = list(entries)
    now, then = ledger.fold(entries, model), ledger.as_of(entries, model, seen.head)
    if now.head < seen.head:
        return (
            f"the ledger's head is {now.head}, and was {seen.head} before: entries were "
            "deleted, changed, or an old back-up was restored."
        )
    if then.head != seen.head or (seen.chain and then.chain != seen.chain):
        return (
            f"the ledger's entries up to {seen.head} are not those that were seen before: one "
            "was changed, or an old back-up was restored and written to since."
        )
    return ""


def known(registry: Registry) -> State:
    """Return the ledger's state, if it continues what was seen of it; remember it.

    Raises:
        Corrupt: It does not.
    """
    entries, seen = registry.entries(), recall(registry)
    why = complaint(entries, registry.model, seen)
    if why:
        raise Corrupt(why, where=registry.model, fix=FIX)
    remember(registry, entries)
    return ledger.fold(entries, registry.model)


def remember(registry: Registry, entries: Iterable[Entry]) -> None:
    """Keep a ledger's state if it is newer than what was seen; one that does not continue it is
    never kept.
    """
    entries, seen = list(entries), recall(registry)
    state = ledger.fold(entries, registry.model)
    newer = state.head > seen.head or bool(state.head and not seen.chain)
    if newer and not complaint(entries, registry.model, seen):
        _keep(registry, Seen(state.head, state.chain, seen.holes, seen.accepted))


def read(registry: Registry) -> State:
    """Return the ledger's state for somebody who compares with the champion. Errors as `known`.

    Raises:
        Refused: The ledger is empty, but the registry has a champion that it does not know.
    """
    state = known(registry)
    there = None if state.last else stranger(registry)
    if there is not None:
        raise Refused(
            f"the registry has a champion, version {there}, and the ledger has none.",
            where=registry.model,
            fix=f"`stillhouse adopt {there}` takes it in; or remove the alias 'champion'.",
        )
    return state


def stranger(registry: Registry) -> int | None:
    """Return the champion from before there was a ledger, which nobody is promoted over unseen."""
    return registry.aliases().get("champion")


def accept_restore(registry: Registry, reason: str, clock: Clock = SYSTEM) -> Accepted:
    """Believe the ledger as it is now, although it is not what was seen before; who and why stand
    in this workspace and as a tag on the ledger.

    Args:
        registry: The model.
        reason: Why, for people.
        clock: For when.

    Raises:
        UsageError: No reason was given.
        Refused: There is nothing to accept: the ledger continues what was seen.
    """
    said = storable(reason, LONGEST_REASON).strip()
    if not said:
        raise UsageError(
            "a reason is needed.", where="--reason", fix="Say why this ledger has to do."
        )
    entries, seen = registry.entries(), recall(registry)
    state = ledger.fold(entries, registry.model)
    holes = tuple(number for number in state.holes if number not in seen.holes)
    if not holes and not complaint(entries, registry.model, seen):
        raise Refused(
            "there is nothing to accept: the ledger continues what was seen from here.",
            where=registry.model,
            fix="See `stillhouse status`.",
        )
    note = {
        "at": clock.now().isoformat(timespec="seconds"),
        "by": environment.who(),
        "from": seen.head,
        "to": state.head,
        "holes": list(state.holes),
        "reason": said,
    }
    registry.tag_ledger(
        f"stillhouse.restored.{seen.head}-{state.head}",
        storable(f"{note['at']} {note['by']}: {said}", 450),
    )
    _keep(registry, Seen(state.head, state.chain, state.holes, (*seen.accepted, note)))
    return Accepted(state.head, seen.head, state.champion)


def _name(registry: Registry) -> str:
    whose = sha256_bytes(f"{registry.place.tracking_uri} {registry.model}".encode())[:16]
    return f"{FOLDER}/head-{whose}.json"


def _keep(registry: Registry, seen: Seen) -> None:
    Workspace(registry.place.root).write_json(
        _name(registry),
        {
            "head": seen.head,
            "chain": seen.chain,
            "holes": list(seen.holes),
            "accepted": list(seen.accepted),
        },
    )
