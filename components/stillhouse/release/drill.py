"""The rollback drill: prove today that the previous champion can come back, and change nothing."""

from dataclasses import dataclass

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Refused
from stillhouse.release.check import replay
from stillhouse.release.fetch import Fetch, fingerprint_of
from stillhouse.release.ledger import refuse_holes
from stillhouse.release.memory import recall
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace


@dataclass(frozen=True)
class Drill:
    """That a rollback would work.

    Attributes:
        model: The registered model.
        head: What to name in `stillhouse rollback --from`.
        champion: The version in production, which a rollback would leave.
        previous: The version that a rollback would bring back: it was loaded, and it answered.
        fingerprint: Of its clock-free files.
        files: How many of its files were read from the store and checked by hash.
        max_error: The largest difference of a logit from the recorded answer.
        seconds: From asking the ledger to the answer: what a rollback would wait for.
    """

    model: str
    head: int
    champion: int
    previous: int
    fingerprint: str
    files: int
    max_error: float
    seconds: float


def drill(registry: Registry, workspace: Workspace, clock: Clock = SYSTEM) -> Drill:
    """Load the version that a rollback would go back to, from the store and in a fresh process, and
    let it answer its input example.

    What is checked is bound to the ledger's entry, not to tags; nothing is written but downloads
    under `.stillhouse/`.

    Args:
        registry: The model.
        workspace: For the downloads.
        clock: Measures how long it takes.

    Raises:
        Refused: There is no earlier champion.
        Corrupt: Its files differ from what was promoted, it does not load, it answers something
            else, or ledger entries were deleted.
    """
    began = clock.seconds()
    state = registry.state()
    refuse_holes(state, recall(registry).holes)
    if state.champion is None or state.previous is None:
        raise Refused(
            "there is no earlier champion to go back to.",
            where=registry.model,
            fix="A drill needs two promoted versions, one of them not quarantined.",
        )
    made = next(e for e in reversed(state.effective) if e.target == state.previous)
    fingerprint = fingerprint_of(registry, made)
    checked = replay(
        Fetch(registry, workspace),
        registry.entry_storage(made.entry.number).rstrip("/"),
        made.link.manifest,
        fingerprint,
        where=f"{registry.model} version {state.previous}",
    )
    return Drill(
        registry.model,
        state.head,
        state.champion,
        state.previous,
        fingerprint,
        checked.files,
        checked.max_error,
        round(clock.seconds() - began, 3),
    )
