"""The aliases `champion`, `challenger` and `previous`: a cache of the ledger for plain MLflow
users, made again whenever it differs.
"""

from collections.abc import Mapping

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import ServerUnreachable
from stillhouse.release.ledger import State
from stillhouse.release.registry import Registry
from stillhouse.tracking.client import Missing

PATIENCE = 20.0  # seconds
PAUSE, LONGEST = 0.2, 3.0  # seconds between two tries, doubled each time


def wanted(state: State, aliases: Mapping[str, int]) -> dict[str, int | None]:
    """Return what the aliases have to be, in the order in which they have to be set: `champion`
    last.

    A challenger stays until it is champion or was rolled back: the ledger does not know of it, an
    approval does.
    """
    if state.champion is None:
        return {}
    challenger = aliases.get("challenger")
    settled = challenger == state.champion or challenger in state.quarantined
    return {
        "challenger": None if settled else challenger,
        "previous": state.previous,
        "champion": state.champion,
    }


def agree(state: State, aliases: Mapping[str, int]) -> bool:
    """Whether the aliases say what the ledger says."""
    if state.champion is None:
        return "champion" not in aliases and "previous" not in aliases
    return all(aliases.get(alias) == version for alias, version in wanted(state, aliases).items())


def materialise(registry: Registry, clock: Clock = SYSTEM) -> bool:
    """Make the aliases say what the ledger says, until they do and it has not moved meanwhile;
    return whether any was changed.

    An empty ledger says nothing: aliases from before it are left as they are.

    Raises:
        ServerUnreachable: MLflow stayed away, or others kept changing them.
    """
    changed, pause, until = False, PAUSE, clock.seconds() + PATIENCE
    state, aliases = registry.state(), registry.aliases()
    while state.champion is not None and not agree(state, aliases):
        problem = ServerUnreachable(
            "the aliases keep changing.",
            where=registry.model,
            fix="Run `stillhouse status` again in a minute.",
        )
        try:
            for alias, version in wanted(state, aliases).items():
                if aliases.get(alias) != version:
                    registry.set_alias(alias, version)
                    changed = True
        except Missing:  # the version was deleted: no alias can name it; the ledger's entry holds
            return changed
        except ServerUnreachable as error:
            # Also PostgreSQL's 400 when several set an alias for the first time at once, which
            # MLflow's client does not repeat.
            problem = error
        before, (state, aliases) = state.head, (registry.state(), registry.aliases())
        if state.head == before and agree(state, aliases):
            return changed
        if clock.seconds() > until:
            raise problem
        clock.sleep(pause)
        pause = min(2 * pause, LONGEST)
    return changed


def reconcile(registry: Registry, clock: Clock = SYSTEM) -> bool:
    """Bring the aliases back to what the ledger says, at the start and end of every command; return
    whether any was changed.
    """
    return materialise(registry, clock)


def set_challenger(registry: Registry, version: int, clock: Clock = SYSTEM) -> None:
    """Name a registered version that passed as the challenger, which waits for `stillhouse
    promote`.
    """
    registry.set_alias("challenger", version)
    materialise(registry, clock)
