"""How often students were compared with a champion: an entry in the ledger each, which takes no
effect and is counted.

A gate whose error rate is that of a model's life (`gate.life`) spends a part of it at each
comparison, whatever came of it; so comparisons that held or rejected have to be remembered too, in
the one place that everybody who may promote reads, and before anybody knows how they end.
"""

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Refused, ServerUnreachable
from stillhouse.release import ledger
from stillhouse.release.memory import recall
from stillhouse.release.patience import Patience
from stillhouse.release.promote import AT_MOST, PATIENCE
from stillhouse.release.registry import BY, Registry


def look(registry: Registry, what: str, clock: Clock = SYSTEM) -> int:
    """Return the number of a comparison with the champion, from 1; count it unless it was counted.

    The same comparison has the same number for ever, however often it is killed, repeated or made
    at once; a write is believed only when a later reading shows it.

    Args:
        registry: The model.
        what: What is compared: student, rows and rules, as one text.
        clock: For the pauses between tries.

    Raises:
        Refused: Nothing is in production.
        Corrupt: Ledger entries were deleted.
        ServerUnreachable: MLflow stayed away; running again finds out what became of it.
    """
    patience, written = Patience(clock, PATIENCE, AT_MOST), False
    while True:
        try:
            state = ledger.fold(registry.entries(), registry.model)
            patience.answered()
            ledger.refuse_holes(state, recall(registry).holes)
            name = ledger.look_name(registry.model, state.head, what)
            if name in state.looks:
                return state.looks.index(name) + 1
            if state.champion is None:
                raise Refused(
                    "there is no champion to be compared with.",
                    where=registry.model,
                    fix="`stillhouse run` makes one.",
                )
            if written:
                written = False
                raise ServerUnreachable(
                    "MLflow took a ledger entry, but does not show it.",
                    where=registry.model,
                    fix="Run again; nothing is counted twice.",
                )
            registry.append(ledger.looking(state, name), {BY: environment.who()})
            written = True
        except ServerUnreachable as problem:  # the entry may be there: read before writing again
            patience.wait(problem)
