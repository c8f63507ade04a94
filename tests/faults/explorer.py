"""Every interleaving of a few promoters and an operator, on the product's own step functions, with
kills and with writes that are lost, late or doubled.

A state is the ledger's entries, the aliases, what each client is about to do, and the writes that
are still on their way. All states that can be reached are visited, each once. The ledger's
functions come as a module, so that a mutant of it can be explored in the same way."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from stillhouse.release.aliases import agree, wanted

MODEL = "m"
Log = tuple[tuple[str, str], ...]  # (source, run_link) of entries 1, 2, 3 …
Aliases = tuple[tuple[str, int], ...]


class Client(NamedTuple):
    """One client: what it wants, and what it is about to do.

    Attributes:
        kind: `promote`, `rollback` or `forge`.
        target: The version it promotes; 0 for a rollback.
        head: The head that it saw when it decided.
        at: read, write, alias, check, or how it ended: ok, refused, dead.
        move: The entry that it is about to append.
        todo: The aliases that it is about to set, in order.
    """

    kind: str
    target: int
    head: int
    at: str = "read"
    move: tuple[str, str] = ("", "")
    todo: tuple[tuple[str, int | None], ...] = ()


class World(NamedTuple):
    log: Log
    aliases: Aliases
    clients: tuple[Client, ...]
    late: tuple[tuple[Any, ...], ...]  # writes on their way
    kills: int
    losses: int


@dataclass(frozen=True)
class Bounds:
    """What may go wrong, and how often. Complete means complete within these.

    Attributes:
        kills: Clients that die between two steps.
        losses: Writes that are lost, late or doubled.
        stale: Whether a reading may give any older log.
        longest: Entries beyond which a client takes no further step where readings may be old: it
            could go round for ever.
    """

    kills: int = 1
    losses: int = 1
    stale: bool = False
    longest: int = 7


class Explorer:
    """Visits every state, and says which invariant breaks where."""

    def __init__(self, ledger: ModuleType, bounds: Bounds, history: tuple[int, ...] = ()) -> None:
        self.ledger, self.bounds = ledger, bounds
        self._folded: dict[Log, Any] = {}
        self.start: Log = ()
        for version in history:
            state = self.fold(self.start)
            self.start = (
                *self.start,
                self._entry(
                    self._intent(Client("promote", version, state.head), self.start), state
                ),
            )

    # --- the product's functions, asked as the product asks them ---------------------------------

    def fold(self, log: Log) -> Any:
        if log not in self._folded:
            entries = [
                self.ledger.Entry(number, *entry) for number, entry in enumerate(log, start=1)
            ]
            self._folded[log] = self.ledger.fold(
                reversed(entries), MODEL
            )  # the order of an answer means nothing
        return self._folded[log]

    def _intent(self, client: Client, log: Log) -> Any:
        if client.kind != "rollback":
            op = self.ledger.operation(
                MODEL, client.head, _digest(client.target), _digest(client.target + 100)
            )
            return self.ledger.Intent(
                op, client.kind, client.target, client.head, evidence=_digest(client.target + 100)
            )
        seen = self.fold(log[: client.head])
        if seen.head != client.head or seen.previous is None:
            return None
        return self.ledger.Intent(
            self.ledger.operation(MODEL, client.head, _digest(seen.previous), "-"),
            "rollback",
            seen.previous,
            client.head,
        )

    def _entry(self, intent: Any, state: Any) -> tuple[str, str]:
        move = self.ledger.decide(state, intent)
        return move.source, move.run_link

    # --- what can happen next --------------------------------------------------------------------

    def explore(self, clients: tuple[Client, ...], limit: int = 3_000_000) -> tuple[int, list[str]]:
        """Return how many states there are, and what breaks (at most one sentence; then the search
        ends).
        """
        first = World(self.start, self._aliases(self.start), clients, (), 0, 0)
        seen, todo = {first}, [first]
        while todo:
            world = todo.pop()
            broken = self.broken(world)
            if broken:
                return len(seen), broken
            for after in self.after(world):
                if not _grown(self.fold(world.log), self.fold(after.log)):
                    return len(seen), ["history was rewritten by an append"]
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
            if len(seen) > limit:
                return len(seen), [f"more than {limit} states: not complete"]
        return len(seen), []

    def after(self, world: World) -> Iterator[World]:
        for at, client in enumerate(world.clients):
            if client.at in ("ok", "refused", "dead"):
                continue
            if world.kills < self.bounds.kills:
                yield _with(world, at, client._replace(at="dead", move=("", ""), todo=()))._replace(
                    kills=world.kills + 1
                )
            yield from getattr(self, f"_{client.at}")(world, at, client)
        for at, write in enumerate(world.late):
            yield self._land(world._replace(late=world.late[:at] + world.late[at + 1 :]), write)

    def _read(self, world: World, at: int, client: Client) -> Iterator[World]:
        if client.kind == "forge":
            parent = self.fold(world.log).head
            link = self.ledger.Link(
                self.ledger.operation(MODEL, parent, "f", "f"), parent, "promote", "0" * 32
            )
            yield _with(
                world,
                at,
                client._replace(at="write", move=(f"models:/{MODEL}/{client.target}", link.text())),
            )
            return
        if len(world.log) > self.bounds.longest:
            return
        for shown in range(0 if self.bounds.stale else len(world.log), len(world.log) + 1):
            log = world.log[:shown]
            state, intent = self.fold(log), self._intent(client, log)
            if intent is None:
                if client.kind == "rollback" and state.head > client.head:
                    yield _with(world, at, client._replace(at="refused"))
                continue  # the reading is older than what is known: read again
            move = self.ledger.decide(state, intent)
            name = type(move).__name__
            if name == "Done":
                yield _with(world, at, client._replace(at="alias"))
            elif name == "Stale":
                yield _with(world, at, client._replace(at="refused"))
            elif name == "Append":
                yield _with(
                    world, at, client._replace(at="write", move=(move.source, move.run_link))
                )

    def _write(self, world: World, at: int, client: Client) -> Iterator[World]:
        done = _with(
            world, at, client._replace(at="ok" if client.kind == "forge" else "read", move=("", ""))
        )
        yield from self._written(done, ("append", client.move))

    def _alias(self, world: World, at: int, client: Client) -> Iterator[World]:
        state, aliases = self.fold(world.log), dict(world.aliases)
        if agree(state, aliases):
            yield _with(world, at, client._replace(at="ok"))
            return
        todo = tuple(
            (name, number)
            for name, number in wanted(state, aliases).items()
            if aliases.get(name) != number
        )
        yield _with(world, at, client._replace(at="set", todo=todo))

    def _set(self, world: World, at: int, client: Client) -> Iterator[World]:
        rest = client.todo[1:]
        yield from self._written(
            _with(world, at, client._replace(at="set" if rest else "alias", todo=rest)),
            ("alias", *client.todo[0]),
        )

    def _written(self, world: World, write: tuple[Any, ...]) -> Iterator[World]:
        once = self._land(world, write)
        yield once
        if world.losses < self.bounds.losses:
            spent = world._replace(losses=world.losses + 1)
            yield spent
            yield spent._replace(late=tuple(sorted((*spent.late, write), key=repr)))
            yield self._land(self._land(spent, write), write)

    def _land(self, world: World, write: tuple[Any, ...]) -> World:
        if write[0] == "append":
            return world._replace(log=(*world.log, write[1]))
        aliases = {**dict(world.aliases), write[1]: write[2]}
        return world._replace(
            aliases=tuple(sorted((k, v) for k, v in aliases.items() if v is not None))
        )

    def _aliases(self, log: Log) -> Aliases:
        return tuple(sorted((k, v) for k, v in wanted(self.fold(log), {}).items() if v is not None))

    # --- what must hold --------------------------------------------------------------------------

    def broken(self, world: World) -> list[str]:
        """Return what is wrong with a state, judged by a reading of the log of our own."""
        state = self.fold(world.log)
        taken = [
            (e.entry.number, e.link.op, e.link.parent, e.target, e.link.kind)
            for e in state.effective
        ]
        ops = [op for _, op, *_ in taken]
        parents = [parent for _, _, parent, *_ in taken]
        broken = []
        if len(set(ops)) < len(ops):
            broken.append("one intent took effect twice")
        if parents != [0, *(number for number, *_ in taken)][: len(parents)]:
            broken.append("an entry took effect over another head than the one it names")
        if any(kind == "promote" and target == 9 for *_, target, kind in taken):
            broken.append("a forged entry took effect")
        for client in world.clients:
            mine = [
                t
                for t in taken
                if t[2] == client.head
                and t[3] == self._goal(client, world.log)
                and t[4] == client.kind
            ]
            if client.at == "ok" and client.kind != "forge" and not mine:
                broken.append(
                    f"told ok without effect: {client.kind} {client.target} over {client.head}"
                )
            if (
                client.at == "refused"
                and mine
                and not any(
                    c is not client and self._goal(c, world.log) == mine[0][3]
                    for c in world.clients
                )
            ):
                broken.append(
                    f"told refused, though it took effect: {client.kind} {client.target} "
                    f"over {client.head}"
                )
        if state.odd and all(c.kind != "forge" for c in world.clients):
            broken.append(f"an honest entry is called odd: {state.odd[0]}")
        if (
            not self.bounds.stale
            and len(world.log) - len(self.start) > len(world.clients) + world.losses
        ):
            broken.append("an intent was written again, though its entry was there to be read")
        ever = {target for *_, target, _ in taken}
        broken += [
            f"the alias {name} is {number}, which was never champion"
            for name, number in world.aliases
            if number not in ever
        ]
        return broken + self._of_rollbacks(state, taken) + self._at_rest(world, state)

    def _goal(self, client: Client, log: Log) -> int:
        return (
            client.target if client.kind != "rollback" else _previous(self.fold(log[: client.head]))
        )

    def _of_rollbacks(self, state: Any, taken: list[tuple[Any, ...]]) -> list[str]:
        """Judge previous and quarantine by going through the history once more, in the plainest
        way.
        """
        champions: list[int] = []
        bad: set[int] = set()
        for *_, target, kind in taken:
            if kind == "rollback":
                bad.add(champions[-1])
            bad.discard(target)
            champions.append(target)
        good = [c for c in champions[:-1] if c not in bad and c != champions[-1]]
        broken = (
            []
            if state.quarantined == bad
            else [f"quarantined {sorted(state.quarantined)}, should be {sorted(bad)}"]
        )
        return broken + (
            []
            if state.previous == (good[-1] if good else None)
            else [f"previous is {state.previous}, should be {good[-1:]}"]
        )

    def _at_rest(self, world: World, state: Any) -> list[str]:
        honest = [c for c in world.clients if c.kind != "forge"]
        if (
            world.late
            or world.kills
            or world.losses
            or any(c.at not in ("ok", "refused") for c in honest)
        ):
            return []
        broken = (
            []
            if not honest or any(c.at == "ok" for c in honest)
            else ["nothing went wrong, and nobody was told ok"]
        )
        return broken + (
            []
            if agree(state, dict(world.aliases))
            else ["nothing went wrong, and the aliases are not the ledger's"]
        )


def _previous(state: Any) -> int:
    return state.previous or 0


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _with(world: World, at: int, client: Client) -> World:
    return world._replace(clients=(*world.clients[:at], client, *world.clients[at + 1 :]))


def _grown(before: Any, after: Any) -> bool:
    """Whether the effective history of one log begins that of a longer one."""
    old, new = ([(e.entry.number, e.link.op) for e in s.effective] for s in (before, after))
    return new[: len(old)] == old
