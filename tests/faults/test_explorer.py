"""The promotion protocol, explored completely within stated bounds; and ten mutants of its step
functions, each of which the explorer must catch.
"""

import ast
import inspect
import sys
from types import ModuleType

import pytest
from faults.explorer import Bounds, Client, Explorer
from faults.tally import TALLY

from stillhouse.release import ledger

TWO = (Client("promote", 2, 1), Client("promote", 3, 1))
THREE = (*TWO, Client("promote", 4, 1))
FROM_NOTHING = (Client("promote", 2, 0), Client("promote", 3, 0))
AND_BACK = (*TWO[:1], Client("rollback", 0, 2), Client("rollback", 0, 2))
FORGED = (*TWO, Client("forge", 9, 0))

# (what it gets wrong, text of the product, text of the mutant, the clients, the history, the
# bounds)
Mutant = tuple[str, str, tuple[Client, ...], tuple[int, ...], Bounds]
CALM = Bounds(0, 0)
STALE = Bounds(kills=0, losses=0, stale=True, longest=4)
MUTANTS: dict[str, Mutant] = {
    "an old reading is taken for a refusal": (
        "    if state.head < intent.parent:\n        return ReadAgain()\n    if state.head > "
        "intent.parent:",
        "    if state.head != intent.parent:",
        TWO,
        (1,),
        STALE,
    ),
    "a verdict is carried over to a new champion": (
        "    if state.head > intent.parent:\n        return Stale(state.head, state.champion)\n",
        "    if state.head > intent.parent:\n        intent = replace(intent, parent=state.head)\n",
        TWO,
        (1,),
        CALM,
    ),
    "what took effect is not looked up": (
        "        if taken.link.op == intent.op:",
        "        if False:",
        TWO,
        (1,),
        CALM,
    ),
    "another's effect is taken for one's own": (
        "        if taken.link.op == intent.op:",
        "        if taken.link.parent == intent.parent:",
        TWO,
        (1,),
        CALM,
    ),
    "the chain is not the history's": (
        "intent.kind, state.chain, intent.evidence",
        "intent.kind, '0' * 32, intent.evidence",
        FROM_NOTHING,
        (),
        CALM,
    ),
    "any parent will do": (
        "    if link.parent != state.head:\n        return state",
        "    if False:\n        return state",
        TWO,
        (1,),
        CALM,
    ),
    "an older parent will do": (
        "    if link.parent != state.head:",
        "    if link.parent > state.head:",
        TWO,
        (1,),
        Bounds(0, 1),
    ),
    "a forged chain is believed": (
        "    if link.chain != state.chain:",
        "    if False:",
        FORGED,
        (1,),
        CALM,
    ),
    "a rollback leaves its version promotable": (
        "        quarantined.add(state.champion)",
        "        pass",
        AND_BACK,
        (1, 4),
        CALM,
    ),
    "a rollback may go back to what was rolled back": (
        "if e.target not in quarantined and e.target != new.target]",
        "if e.target != new.target]",
        AND_BACK,
        (1, 4),
        CALM,
    ),
    "entries are taken in the order in which they came": (
        "ordered = sorted({entry.number: entry for entry in entries}.values(), key=lambda "
        "entry: entry.number)",
        "ordered = list(entries)",
        TWO,
        (1,),
        CALM,
    ),
    "an intent has another name in every run": (
        "uuid.uuid5(_NAMESPACE, f'{model}\\n{parent}\\n{target_fingerprint}\\n{evidence}')",
        "uuid.uuid4()",
        TWO,
        (1,),
        Bounds(0, 1, longest=4),
    ),
}


def mutant(old: str, new: str) -> ModuleType:
    """The product's module with one text changed."""
    source = ast.unparse(ast.parse(inspect.getsource(ledger)))  # blind to layout and comments
    assert source.count(old) == 1, f"the product has {old!r} {source.count(old)} times"
    module = ModuleType("mutant")
    module.__dict__["__name__"] = "mutant_ledger"
    sys.modules["mutant_ledger"] = module  # dataclasses look their module up
    exec(compile(source.replace(old, new), "mutant_ledger", "exec"), module.__dict__)
    return module


def states(clients: tuple[Client, ...], bounds: Bounds, history: tuple[int, ...]) -> int:
    count, broken = Explorer(ledger, bounds, history).explore(clients)
    assert TALLY.held("I4", broken) == []
    TALLY.numbers["explorer states"] = TALLY.numbers.get("explorer states", 0) + count
    return count


def test_two_promoters_with_a_kill_and_a_lost_late_or_doubled_write_keep_every_promise() -> None:
    assert states(TWO, Bounds(kills=1, losses=1), (1,)) >= 1000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_protocol_is_caught(name: str) -> None:
    old, new, clients, history, bounds = MUTANTS[name]
    assert Explorer(ledger, bounds, history).explore(clients)[1] == [], (
        "the control: the product itself holds in this configuration"
    )
    caught = Explorer(mutant(old, new), bounds, history).explore(clients, limit=200_000)[1]
    assert caught, f"{name} is not caught"
    assert not any("not complete" in sentence for sentence in caught)
    TALLY.numbers["mutants caught"] = TALLY.numbers.get("mutants caught", 0) + 1


CONFIGURATIONS = {
    "two promoters, nothing before": (FROM_NOTHING, Bounds(2, 2, longest=6), ()),
    "two promoters, two kills, two bad writes": (TWO, Bounds(2, 2, longest=6), (1,)),
    "two promoters, old readings, a kill and a bad write": (
        TWO,
        Bounds(1, 1, stale=True, longest=4),
        (1,),
    ),
    "three promoters, a kill and a bad write": (THREE, Bounds(1, 1, longest=6), (1,)),
    "two promoters and two operators, a kill and a bad write": (
        (Client("promote", 3, 2), *AND_BACK),
        Bounds(1, 1, longest=7),
        (1, 4),
    ),
    "promoter and two operators who roll back, a kill and a bad write": (
        AND_BACK,
        Bounds(1, 1, longest=6),
        (1, 4),
    ),
    "promoter, operator and forger": (
        (Client("promote", 2, 2), Client("rollback", 0, 2), Client("forge", 9, 0)),
        Bounds(1, 1, longest=6),
        (1, 4),
    ),
    "two promoters, old readings, two kills and two bad writes": (
        TWO,
        Bounds(2, 2, stale=True, longest=6),
        (1,),
    ),
    "three promoters, two kills and two bad writes": (THREE, Bounds(2, 2, longest=7), (1,)),
    "three promoters, old readings, a kill and a bad write": (
        THREE,
        Bounds(1, 1, stale=True, longest=4),
        (1,),
    ),
    "three promoters, old readings, two kills and a bad write": (
        THREE,
        Bounds(2, 1, stale=True, longest=4),
        (1,),
    ),
    "four promoters, a kill and a bad write": (
        (*THREE, Client("promote", 5, 1)),
        Bounds(1, 1, longest=7),
        (1,),
    ),
    "two promoters and two operators, two kills and two bad writes": (
        (Client("promote", 3, 2), *AND_BACK),
        Bounds(2, 2, longest=8),
        (1, 4),
    ),
    "the same promotion twice beside another, old readings": (
        (TWO[0], *TWO),
        Bounds(2, 2, stale=True, longest=4),
        (1,),
    ),
    "the same promotion twice": (
        (Client("promote", 2, 1), Client("promote", 2, 1)),
        Bounds(2, 2, longest=6),
        (1,),
    ),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_interleaving_keeps_every_promise(name: str) -> None:
    clients, bounds, history = CONFIGURATIONS[name]
    assert states(clients, bounds, history) > 100
