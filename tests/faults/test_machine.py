"""Long walks where the explorer's bounds end: clients arrive at any time, many die, and writes are
lost, late or doubled again and again. Hypothesis chooses the way, and shortens what it finds.
"""

from types import ModuleType

import pytest
from faults.explorer import Bounds, Client, Explorer, World, _grown
from faults.tally import TALLY
from faults.test_explorer import MUTANTS, mutant
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from stillhouse.release import ledger

CROWD = 6  # clients in one walk
FAULTS = Bounds(kills=3, losses=4, stale=True, longest=14)
# What these get wrong shows only where nothing else goes wrong: bounds of their own.
CALM = Bounds(kills=0, losses=0, longest=14)


def machine(
    product: ModuleType, bounds: Bounds, *, forgers: bool = True
) -> type[RuleBasedStateMachine]:
    """Return the machine that walks on a ledger's functions."""
    explorers: dict[tuple[int, ...], Explorer] = {}

    class Walk(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            TALLY.numbers["hypothesis walks"] = TALLY.numbers.get("hypothesis walks", 0) + 1

        @initialize(history=st.sampled_from([(), (1,), (1, 4), (1, 4, 5)]))
        def begin(self, history: tuple[int, ...]) -> None:
            if history not in explorers:
                explorers[history] = Explorer(product, bounds, history)
            self.explorer = explorers[history]
            start = self.explorer.start
            self.world = World(start, self.explorer._aliases(start), (), (), 0, 0)

        def _arrives(self, client: Client) -> None:
            self.world = self.world._replace(clients=(*self.world.clients, client))

        @precondition(lambda self: len(self.world.clients) < CROWD)
        @rule(version=st.integers(2, 7))
        def promoter(self, version: int) -> None:
            self._arrives(Client("promote", version, self.explorer.fold(self.world.log).head))

        @precondition(
            lambda self: (
                len(self.world.clients) < CROWD
                and self.explorer.fold(self.world.log).previous is not None
            )
        )
        @rule()
        def operator(self) -> None:
            self._arrives(Client("rollback", 0, self.explorer.fold(self.world.log).head))

        @precondition(lambda self: forgers and len(self.world.clients) < CROWD)
        @rule()
        def forger(self) -> None:
            self._arrives(Client("forge", 9, 0))

        @precondition(lambda self: self.world.clients)
        @rule(way=st.integers(0, 1 << 16), steps=st.integers(1, 8))
        def goes_on(self, way: int, steps: int) -> None:
            for step in range(steps):
                ways = list(self.explorer.after(self.world))
                if not ways:
                    return
                after = ways[(way + 7919 * step) % len(ways)]
                old, new = (self.explorer.fold(w.log) for w in (self.world, after))
                assert _grown(old, new), "history was rewritten by an append"
                self.world = after
                assert self.explorer.broken(after) == []

    return Walk


def walk(product: ModuleType, bounds: Bounds, examples: int, *, forgers: bool = True) -> None:
    run_machine(
        machine(product, bounds, forgers=forgers),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        ),
    )


def _both(product: ModuleType, name: str) -> None:
    """Walk within both bounds, first within those that are nearer to where the mutant shows."""
    nearer = FAULTS if MUTANTS[name][-1].stale else CALM
    for bounds in (nearer, CALM if nearer is FAULTS else FAULTS):
        walk(product, bounds, 1000, forgers="forged" in name)


def test_some_walks_keep_every_promise() -> None:
    walk(ledger, FAULTS, 25)


@pytest.mark.faults
@pytest.mark.parametrize("bounds", [FAULTS, CALM], ids=["faults", "calm"])
def test_two_thousand_walks_keep_every_promise(bounds: Bounds) -> None:
    walk(ledger, bounds, 1000)


@pytest.mark.faults
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_on_the_way(name: str) -> None:
    changed = mutant(*MUTANTS[name][:2])
    with pytest.raises(AssertionError):
        _both(changed, name)
    TALLY.numbers["mutants caught on walks"] = TALLY.numbers.get("mutants caught on walks", 0) + 1
