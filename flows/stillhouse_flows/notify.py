"""Tell people how a retrain ended, through the outbox.

A promotion is told because the ledger has it, not because this run made it: the run after a kill
tells what the killed one could not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stillhouse.errors import Refused, StillhouseError, UsageError
from stillhouse_flows import channels, outbox
from stillhouse_flows.outbox import Entry, Message, Tell

if TYPE_CHECKING:
    from stillhouse.pipeline import Project
    from stillhouse.pipeline.publish import Published
    from stillhouse.workspace import Workspace

    Ended = Callable[[Project, Published], None]


def deliver(workspace: "Workspace", tell: Tell, *, now: bool = False) -> list[Entry]:
    """Send what is due; say what still waits, and return it."""
    left = outbox.deliver(workspace, channels.configured(), now=now)
    if left:
        many = "1 notification waits" if len(left) == 1 else f"{len(left)} notifications wait"
        tell(f"{many} in the outbox: {left[0].trouble or 'not due yet.'}")
    return left


def names() -> list[str]:
    """Return the channels that are configured."""
    return list(channels.configured())


def test(workspace: "Workspace", model: str) -> int:
    """Put a test message into the outbox, another one every time; return for how many channels.

    Raises:
        UsageError: None is configured.
    """
    ways = channels.configured()
    if not ways:
        raise UsageError(
            "no channel is configured.",
            where=f"{channels.PREFIX}WEBHOOK, …EMAIL, …BLOCK",
            fix=f"Set one in the environment or in .env: {channels.EXAMPLES['webhook']}",
        )
    now = workspace.clock.now().isoformat()
    return outbox.put(workspace, Message("test", model, now, "Stillhouse can reach you."), ways)


@contextmanager
def telling(workspace: "Workspace", model: str, tell: Tell) -> "Iterator[Ended]":
    """Give a function to call with how the retrain ended; an error that ends it is told too.

    Nothing is done where no channel is configured.

    Args:
        workspace: Whose outbox.
        model: The registered model.
        tell: Receives a sentence about what could not be sent.
    """
    ways = channels.configured()
    if not ways:
        yield lambda project, published: None
        return

    def ended(project: "Project", published: "Published") -> None:
        outbox.put(workspace, _message(project, published), ways)

    try:
        yield ended
    except Exception as error:
        outbox.put(workspace, _failure(workspace, model, error), ways)
        raise
    finally:
        deliver(workspace, tell)


def _message(project: "Project", published: "Published") -> Message:
    model, version = published.model, published.version
    if published.exit_code == 0:
        head = project.registry.state().head
        return Message("promoted", model, f"head {head}", published.sentence, version)
    if version is not None:
        return Message("waiting", model, f"version {version}", published.sentence, version)
    from stillhouse.workspace import sha256

    verdict = sha256(project.workspace.artifacts / "gate" / "verdict.json")
    return Message(published.outcome, model, verdict, published.sentence)


def _failure(workspace: "Workspace", model: str, error: Exception) -> Message:
    """The same failure is told once a day."""
    kind = "refused" if isinstance(error, Refused) else "failed"
    text = str(error) if isinstance(error, StillhouseError) else f"{type(error).__name__}, a bug."
    today = workspace.clock.now().date().isoformat()
    return Message(kind, model, f"{today} {text}", text)
