"""The promotion ledger, without any input or output: entries in, state out; state and intent in,
the next move out.

An entry is one version of the registered model `<model>--ledger`. MLflow numbers them 1, 2, 3 … and
never changes `source` and `run_link` afterwards, so an entry is a compare-and-set: it takes effect
only if the head that its writer saw is still the head. Everything that decides stands in
`run_link`; tags are for people.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from stillhouse.errors import Corrupt, StillhouseError

Kind = Literal["promote", "rollback", "adopt"]
SUFFIX = "--ledger"
LONGEST_LINK = 400  # characters; PostgreSQL refuses more than 500 where sqlite takes them
NOTHING = "-"
_NAMESPACE = uuid.UUID("6f1d9a52-7b57-4b39-9f0e-5b0c9a2d3c11")
_LINK = re.compile(
    r"stillhouse:1 op=(?P<op>[0-9a-f-]{36}) parent=(?P<parent>\d{1,18}) "
    r"kind=(?P<kind>promote|rollback|adopt) chain=(?P<chain>[0-9a-f]{32})"
    r" evidence=(?P<evidence>[0-9a-f]{64}|-) over=(?P<over>[0-9a-f]{64}|-) "
    r"manifest=(?P<manifest>[0-9a-f]{64}|-)"
)
_LOOK = re.compile(r"stillhouse:1 look=(?P<name>[0-9a-f-]{36}) head=(?P<head>\d{1,18})")
_SOURCE = re.compile(r"models:/(?P<model>[^/:]+)/(?P<target>\d{1,18})")


@dataclass(frozen=True)
class Link:
    """What an entry says, as it stands in `run_link`.

    Attributes:
        op: Names the intent: the same promotion after a kill has the same one.
        parent: The head over which it may take effect; 0 is the empty ledger.
        kind: A rollback also quarantines the version that it leaves; adopt takes in a version that
            was champion before there was a ledger.
        chain: Binds the entry to all of the history before it.
        evidence: sha256 of the gate's verdict, or `-`.
        over: sha256 of the champion.json that the gate compared with, or `-`.
        manifest: sha256 of the target's manifest: the bytes that may be served.
    """

    op: str
    parent: int
    kind: Kind
    chain: str
    evidence: str = NOTHING
    over: str = NOTHING
    manifest: str = NOTHING

    def text(self) -> str:
        """Return the `run_link`.

        Raises:
            StillhouseError: It would be longer than every database takes.
        """
        text = (
            f"stillhouse:1 op={self.op} parent={self.parent} kind={self.kind} chain={self.chain}"
            f" evidence={self.evidence} over={self.over} manifest={self.manifest}"
        )
        if len(text) > LONGEST_LINK or _LINK.fullmatch(text) is None:
            raise StillhouseError(
                f"'{text}' is not a ledger entry that every database takes.",
                where="release.ledger",
                fix="Report this; nothing was written.",
            )
        return text

    @classmethod
    def parse(cls, text: str) -> "Link | None":
        """Return what a `run_link` says, or None if it is not one of ours."""
        found = _LINK.fullmatch(text)
        if found is None:
            return None
        kind: Kind = found["kind"]  # type: ignore[assignment]
        return cls(
            found["op"],
            int(found["parent"]),
            kind,
            found["chain"],
            found["evidence"],
            found["over"],
            found["manifest"],
        )


@dataclass(frozen=True)
class Entry:
    """One version of the ledger's registered model, as MLflow gives it back."""

    number: int
    source: str
    run_link: str
    tags: Mapping[str, str] = field(default_factory=dict)
    created: int = 0

    @property
    def link(self) -> Link | None:
        """What it says, or None if it is not ours."""
        return Link.parse(self.run_link)

    @property
    def look(self) -> str | None:
        """The comparison that it counts; None if it counts none."""
        found = _LOOK.fullmatch(self.run_link)
        return found["name"] if found else None

    def target(self, model: str) -> int | None:
        """Return the version that it makes champion, or None if it points elsewhere."""
        found = _SOURCE.fullmatch(self.source)
        return int(found["target"]) if found and found["model"] == model else None

    @property
    def since(self) -> str:
        """When it was appended, for people: ISO 8601 in UTC. Nothing is decided by it."""
        return datetime.fromtimestamp(self.created / 1000, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Effective:
    """An entry that took effect: from its number on, `target` is the champion."""

    entry: Entry
    link: Link
    target: int


@dataclass(frozen=True)
class State:
    """What a ledger says.

    Attributes:
        model: The model that it is about.
        entries: How many entries there are, with or without effect.
        effective: Those that took effect, oldest first.
        previous: The last earlier champion that is not quarantined; a rollback goes there.
        quarantined: Versions that a rollback left and nobody promoted since.
        chain: What the next entry's `chain` has to be.
        holes: Numbers that are missing: entries that somebody deleted. Nothing is promoted until
            that is settled.
        odd: Entries without effect that no honest writer made, one sentence each.
        looks: Comparisons with a champion that were counted, each once, oldest first.
        looked: How many entries counted them.
    """

    model: str
    entries: int = 0
    effective: tuple[Effective, ...] = ()
    previous: int | None = None
    quarantined: frozenset[int] = frozenset()
    chain: str = ""
    holes: tuple[int, ...] = ()
    odd: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    looked: int = 0

    @property
    def head(self) -> int:
        """The number of the last entry that took effect; 0 if none did."""
        return self.effective[-1].entry.number if self.effective else 0

    @property
    def champion(self) -> int | None:
        """The version in production."""
        return self.effective[-1].target if self.effective else None

    @property
    def last(self) -> Effective | None:
        """The entry that made the champion champion."""
        return self.effective[-1] if self.effective else None


def next_chain(chain: str, number: int, source: str, run_link: str) -> str:
    """Return the chain hash after an effective entry; for the first entry pass the model's name, 0
    and nothing.
    """
    return hashlib.sha256(f"{chain}\n{number}\n{source}\n{run_link}".encode()).hexdigest()[:32]


def operation(model: str, parent: int, target_fingerprint: str, evidence: str) -> str:
    """Return the op of an intent: equal intents have equal ones, in any process, before and after a
    kill.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{model}\n{parent}\n{target_fingerprint}\n{evidence}"))


def look_name(model: str, head: int, what: str) -> str:
    """Return what a comparison with the champion of `head` is called, in any process."""
    return str(uuid.uuid5(_NAMESPACE, f"look\n{model}\n{head}\n{what}"))


def looking(state: State, name: str) -> "Append":
    """Return the entry that counts a comparison with the present champion."""
    return Append(
        f"models:/{state.model}/{state.champion}", f"stillhouse:1 look={name} head={state.head}"
    )


def fold(entries: Iterable[Entry], model: str) -> State:
    """Return what the ledger says: go through the entries by number, and let each take effect or
    not.

    An entry takes effect if its parent is the last entry that did, and its chain is the hash of all
    before it.

    Args:
        entries: In any order; the same number twice is the same entry.
        model: Whose ledger it is.
    """
    ordered = sorted(
        {entry.number: entry for entry in entries}.values(), key=lambda entry: entry.number
    )
    state = State(model, chain=next_chain(model, 0, "", ""))
    for entry in ordered:
        state = _step(state, entry)
    present = {entry.number for entry in ordered}
    holes = tuple(number for number in range(1, max(present, default=0)) if number not in present)
    return replace(state, entries=len(ordered), holes=holes)


def _step(state: State, entry: Entry) -> State:
    link, target = entry.link, entry.target(state.model)
    if entry.look is not None and target is not None:
        looks = state.looks if entry.look in state.looks else (*state.looks, entry.look)
        return replace(state, looks=looks, looked=state.looked + 1)
    if link is None or target is None:
        return _odd(state, f"entry {entry.number} was not written by Stillhouse")
    if link.parent >= entry.number:
        return _odd(
            state, f"entry {entry.number} claims a parent ({link.parent}) that did not exist yet"
        )
    if link.parent != state.head:
        return state  # an honest loser, or a call that MLflow's client repeated
    if link.chain != state.chain:
        return _odd(
            state,
            f"entry {entry.number} does not follow from the entries before it: it is forged, "
            "or one of them was changed",
        )
    for name, said in (("evidence", link.evidence), ("manifest", link.manifest)):
        if entry.tags.get(f"stillhouse.{name}", said) != said:
            state = _odd(
                state,
                f"the tag stillhouse.{name} of entry {entry.number} was changed; the entry "
                "itself holds",
            )
    return _take(state, Effective(entry, link, target))


def _odd(state: State, sentence: str) -> State:
    return replace(state, odd=(*state.odd, sentence))


def _take(state: State, new: Effective) -> State:
    quarantined = set(state.quarantined)
    if new.link.kind == "rollback" and state.champion is not None:
        quarantined.add(state.champion)
    quarantined.discard(new.target)
    earlier = [
        e.target for e in state.effective if e.target not in quarantined and e.target != new.target
    ]
    return replace(
        state,
        effective=(*state.effective, new),
        previous=earlier[-1] if earlier else None,
        quarantined=frozenset(quarantined),
        chain=next_chain(state.chain, new.entry.number, new.entry.source, new.entry.run_link),
    )


def refuse_holes(state: State, accepted: tuple[int, ...] = ()) -> None:
    """Refuse to act on a ledger that entries were deleted from.

    Args:
        state: What the ledger says.
        accepted: Missing numbers that an operator settled.

    Raises:
        Corrupt: Another number is missing.
    """
    holes = [number for number in state.holes if number not in accepted]
    if holes:
        raise Corrupt(
            f"ledger entries were deleted: {', '.join(map(str, holes[:5]))}.",
            where=state.model + SUFFIX,
            fix="Nothing is promoted until then: restore MLflow's database; if that cannot be, "
            "`stillhouse ledger accept-restore --reason '…'`.",
        )


def as_of(entries: Iterable[Entry], model: str, head: int) -> State:
    """Return what the ledger said when `head` was its head: what an operator who names that head
    saw.
    """
    return fold([entry for entry in entries if entry.number <= head], model)


# --- the decision -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Intent:
    """What somebody wants: `target` as champion, over the head that they saw."""

    op: str
    kind: Kind
    target: int
    parent: int
    evidence: str = NOTHING
    over: str = NOTHING
    manifest: str = NOTHING


@dataclass(frozen=True)
class Done:
    """The intent took effect at entry `number`: only the aliases are left to do."""

    number: int


@dataclass(frozen=True)
class ReadAgain:
    """The ledger that was read is older than what the caller knows; that is evidence of nothing."""


@dataclass(frozen=True)
class Stale:
    """Somebody else moved the head: the verdict no longer counts."""

    head: int
    champion: int | None


@dataclass(frozen=True)
class Append:
    """Write this entry, then read and decide again, whatever the write answers."""

    source: str
    run_link: str


Move = Done | ReadAgain | Stale | Append


def decide(state: State, intent: Intent) -> Move:
    """Return the next move towards an intent.

    Calling it again after each move ends in Done or Stale, however often a write is lost or
    repeated.
    """
    for taken in state.effective:
        if taken.link.op == intent.op:
            return Done(taken.entry.number)
    if state.head < intent.parent:
        return ReadAgain()
    if state.head > intent.parent:
        return Stale(state.head, state.champion)
    link = Link(
        intent.op,
        intent.parent,
        intent.kind,
        state.chain,
        intent.evidence,
        intent.over,
        intent.manifest,
    )
    return Append(f"models:/{state.model}/{intent.target}", link.text())
