"""Promotion and rollback: one entry in the ledger, effective only over the champion that was looked
at, then the aliases.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Refused, ServerUnreachable, StaleHead, UsageError
from stillhouse.release import ledger
from stillhouse.release.aliases import materialise
from stillhouse.release.fetch import fingerprint_of
from stillhouse.release.ledger import Append, Done, Entry, Intent, Kind, ReadAgain, Stale
from stillhouse.release.memory import recall, remember
from stillhouse.release.patience import Patience
from stillhouse.release.registry import BY, EVIDENCE, MANIFEST, OVER, Registry, Version
from stillhouse.tracking.client import Missing

PATIENCE = 45.0  # seconds without an answer from MLflow
AT_MOST = 120.0  # seconds in all, also where some answers come
OLD_READING = 3.0  # seconds in which a read replica has to catch up


@dataclass(frozen=True)
class Promotion:
    """What a promotion or rollback came to.

    Attributes:
        head: The ledger entry that made the version champion.
        version: The champion that it made.
        appended: Whether this call wrote the entry; False when it was there already, as after a
            kill.
    """

    head: int
    version: int
    appended: bool


def promote(
    registry: Registry,
    version: int,
    head: int,
    *,
    evidence: str,
    over: str = ledger.NOTHING,
    kind: Kind = "promote",
    tags: Mapping[str, str] | None = None,
    clock: Clock = SYSTEM,
) -> Promotion:
    """Make a version champion, if the head is still the one that its verdict was about.

    Args:
        registry: The model.
        version: A version that `register` gave.
        head: The ledger's head when the gate looked; 0 where there was no champion.
        evidence: sha256 of the verdict.
        over: sha256 of the champion.json that the gate compared with.
        kind: `adopt` takes in a champion from before there was a ledger.
        tags: For people: who, why, the run's link.
        clock: For the pauses between tries.

    Raises:
        StaleHead: The champion changed since; gate again.
        UsageError: There is no such version, or Stillhouse did not register it.
        Corrupt: Ledger entries were deleted.
        ServerUnreachable: MLflow stayed away; running again finds out what became of it.
    """

    @cache
    def intent() -> Intent:
        found = target(registry, version)
        op = ledger.operation(registry.model, head, found.fingerprint, evidence)
        return Intent(op, kind, version, head, evidence, over, found.manifest)

    return _commit(registry, lambda _: intent(), tags or {}, clock)


def rollback(
    registry: Registry, head: int, *, tags: Mapping[str, str] | None = None, clock: Clock = SYSTEM
) -> Promotion:
    """Bring the previous champion back and quarantine the present one, if the head is still the one
    that the operator saw.

    The entry repeats the evidence of the entry that once made its target champion.

    Args:
        registry: The model.
        head: The ledger's head as `stillhouse status` showed it.
        tags: For people.
        clock: For the pauses between tries.

    Raises:
        StaleHead: The champion changed since.
        Refused: There is no earlier champion to go back to.
        Corrupt: Ledger entries were deleted.
        ServerUnreachable: MLflow stayed away.
    """
    return _commit(registry, lambda entries: _back(registry, entries, head), tags or {}, clock)


def target(registry: Registry, version: int) -> Version:
    """Return a version that may become champion.

    Raises:
        UsageError: There is no such version, or Stillhouse did not register it.
    """
    try:
        found = registry.version(version)
    except Missing:
        raise UsageError(
            f"there is no version {version}.",
            where=registry.model,
            fix="`stillhouse status` and MLflow's pages show which there are.",
        ) from None
    if not found.manifest or not found.fingerprint:
        raise UsageError(
            f"version {version} was not registered by Stillhouse.",
            where=registry.model,
            fix="Only what passed the gate can be promoted.",
        )
    return found


def _back(registry: Registry, entries: list[Entry], head: int) -> Intent | None:
    """Return the rollback that was meant by an operator who saw `head`, or None while the ledger
    that was read is older than that.
    """
    model = registry.model
    seen, now = ledger.as_of(entries, model, head), ledger.fold(entries, model)
    if now.head > head and (seen.head != head or seen.previous is None):
        raise _stale(model, Stale(now.head, now.champion), head)
    if seen.head != head:
        return None
    if seen.previous is None:
        raise Refused(
            "there is no earlier champion to go back to.",
            where=model,
            fix="Promote another version.",
        )
    made = next(e for e in reversed(seen.effective) if e.target == seen.previous)
    op = ledger.operation(model, head, fingerprint_of(registry, made), made.link.evidence)
    return Intent(
        op, "rollback", seen.previous, head, made.link.evidence, made.link.over, made.link.manifest
    )


def _commit(
    registry: Registry,
    intend: Callable[[list[Entry]], Intent | None],
    tags: Mapping[str, str],
    clock: Clock,
) -> Promotion:
    """Read, decide, write, and read again: a write is believed only when a later reading shows
    it.
    """
    patience = Patience(clock, PATIENCE, AT_MOST)
    course = _Course(registry, patience)
    while True:
        try:
            done = course.go_on(intend, tags, clock)
            if done is not None:
                return done
        except _OldReading as problem:
            patience.wait(problem, at_most=OLD_READING)
        except ServerUnreachable as problem:
            # The entry may be there: read before anything is written again.
            patience.wait(course.told(problem))


class _OldReading(ServerUnreachable):
    """The ledger that was read is older than what the caller saw."""


@dataclass
class _Course:
    """How far one promotion or rollback came, as far as this process knows.

    Attributes:
        registry: The model.
        patience: Is told of every answer.
        appended: Whether this process sent an entry.
        done: The entry that has the effect, once one was read.
    """

    registry: Registry
    patience: Patience
    appended: bool = False
    done: Promotion | None = None

    def go_on(
        self,
        intend: Callable[[list[Entry]], Intent | None],
        tags: Mapping[str, str],
        clock: Clock,
    ) -> Promotion | None:
        """Read the ledger and take the next step; return what it came to, or None if it has to be
        read again.
        """
        registry = self.registry
        entries = registry.entries()
        self.patience.answered()
        state, intent = ledger.fold(entries, registry.model), intend(entries)
        ledger.refuse_holes(state, recall(registry).holes)
        move = ReadAgain() if intent is None else ledger.decide(state, intent)
        if isinstance(move, Done) and intent is not None:
            self.done = Promotion(move.number, intent.target, self.appended)
            remember(registry, entries)
            materialise(registry, clock)
            return self.done
        if isinstance(move, Stale) and intent is not None:
            raise _stale(registry.model, move, intent.parent)
        if isinstance(move, Append) and intent is not None:
            self.appended = True
            registry.append(move, _for_people(intent, tags))
            return None
        raise _OldReading(
            f"MLflow shows head {state.head}, older than the one that was named.",
            where=registry.model,
            fix="Check the head; try again.",
        )

    def told(self, problem: ServerUnreachable) -> ServerUnreachable:
        """Return the problem with what is known of the promotion."""
        if self.done is not None:
            known = (
                f"Version {self.done.version} is the champion (head {self.done.head}); only its "
                "aliases lag, and the next command mends them."
            )
        elif self.appended:
            known = (
                "Whether the champion changed is not known: the same command finds out, and "
                "changes it at most once."
            )
        else:
            known = "Nothing was written: the champion is what it was."
        return ServerUnreachable(f"{problem.what} {known}", where=problem.where, fix=problem.fix)


def _for_people(intent: Intent, tags: Mapping[str, str]) -> dict[str, str]:
    return {
        BY: environment.who(),
        **tags,
        "stillhouse.kind": intent.kind,
        EVIDENCE: intent.evidence,
        OVER: intent.over,
        MANIFEST: intent.manifest,
    }


def _stale(model: str, found: Stale, parent: int) -> StaleHead:
    now = (
        f"v{found.champion} (head {found.head})"
        if found.champion is not None
        else f"nothing (head {found.head})"
    )
    return StaleHead(
        f"the champion is {now} now; you saw head {parent}.",
        where=model,
        fix="Look at `stillhouse status`, and gate or decide again.",
    )
