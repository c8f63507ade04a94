"""The outbox: what has to be told lies in the workspace before anybody is told, and until somebody
was.

Delivered at least once: a kill between sending and writing that down sends again, under the same
key, which a receiver knows it by.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from stillhouse.errors import Busy, StillhouseError
from stillhouse.failpoints import failpoint
from stillhouse.tracking import redact
from stillhouse.workspace import Workspace

FOLDER = ".stillhouse/outbox"
FIRST, LONGEST = 60.0, 3600.0  # seconds between two tries: doubled each time, never more than this


class NotDelivered(StillhouseError):
    """A notification did not arrive; it stays in the outbox. The message holds no address."""


@dataclass(frozen=True)
class Message:
    """What happened, for people and for machines.

    Attributes:
        kind: promoted, waiting, held, rejected, refused, failed or test.
        model: The registered model.
        about: What makes it this one and no other, such as the ledger's head: the same thing is
            told once.
        text: A sentence.
        version: The version that it is about, if there is one.
    """

    kind: str
    model: str
    about: str
    text: str
    version: int | None = None


@dataclass(frozen=True)
class Entry:
    """A message on its way through one channel.

    Attributes:
        key: Of message and channel; the receiver's idempotency key.
        channel: Its name; its address stays outside.
        message: What to say.
        written: Wall time, ISO 8601 in UTC.
        tries: How often it was sent without arriving.
        due: Wall time before which it is not sent again.
        trouble: Why it did not arrive the last time.
    """

    key: str
    channel: str
    message: Message
    written: str
    tries: int = 0
    due: str = ""
    trouble: str = ""

    def payload(self) -> dict[str, Any]:
        """Return what a receiver gets."""
        return {**asdict(self.message), "key": self.key, "written": self.written}

    def told(self) -> dict[str, Any]:
        """Return what `stillhouse notify --json` shows of it."""
        return {
            "key": self.key,
            "channel": self.channel,
            "kind": self.message.kind,
            "tries": self.tries,
            "due": self.due,
            "trouble": self.trouble,
        }


class Channel(Protocol):
    """A way to reach people."""

    @property
    def name(self) -> str:
        """What entries for it are filed under."""
        ...

    def send(self, entry: Entry) -> None:
        """Send it, or raise NotDelivered within seconds."""
        ...


def put(workspace: Workspace, message: Message, channels: Mapping[str, Channel]) -> int:
    """Write a message down for every channel that was not told of it yet; return for how many."""
    new = 0
    for channel in channels:
        text = f"{channel}\n{message.model}\n{message.kind}\n{message.about}"
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        if (workspace.root / _sent(key)).exists() or (workspace.root / _waits(key)).exists():
            continue
        said = replace(message, text=redact(message.text))
        entry = Entry(key, channel, said, workspace.clock.now().isoformat(timespec="seconds"))
        workspace.write_json(_waits(key), asdict(entry))
        new += 1
    return new


def waiting(workspace: Workspace) -> list[Entry]:
    """Return what has not arrived yet, oldest first."""
    return sorted(_read(workspace), key=lambda entry: (entry.written, entry.key))


def deliver(
    workspace: Workspace, channels: Mapping[str, Channel], *, now: bool = False
) -> list[Entry]:
    """Send what is due; return what still waits. A second process leaves it to the first.

    Args:
        workspace: Whose outbox.
        channels: By name.
        now: Whether to try also what failed moments ago.
    """
    mine = Workspace(workspace.root / FOLDER, workspace.clock)
    try:
        with mine.lock(holder="the outbox", wait=0.0):
            for entry in waiting(workspace):
                if now or _due(entry, workspace.clock.now()):
                    _send(workspace, entry, channels.get(entry.channel))
    except Busy:
        pass  # whoever holds it sends
    return waiting(workspace)


def _send(workspace: Workspace, entry: Entry, channel: Channel | None) -> None:
    if (workspace.root / _sent(entry.key)).exists():  # killed before it could tidy up
        workspace.remove(_waits(entry.key))
        return
    try:
        if channel is None:
            raise NotDelivered("the channel is not configured any more.")
        failpoint("outbox.before_send")
        channel.send(entry)
        failpoint("outbox.after_send")
    except NotDelivered as trouble:
        workspace.write_json(_waits(entry.key), asdict(_later(entry, trouble, workspace)))
        return
    workspace.write_bytes(_sent(entry.key), b"")
    workspace.remove(_waits(entry.key))


def _later(entry: Entry, trouble: NotDelivered, workspace: Workspace) -> Entry:
    pause = min(FIRST * 2**entry.tries, LONGEST)
    due = datetime.fromtimestamp(workspace.clock.now().timestamp() + pause, UTC)
    return replace(
        entry,
        tries=min(entry.tries + 1, 1000),
        due=due.isoformat(timespec="seconds"),
        trouble=redact(str(trouble)),
    )


def _due(entry: Entry, now: datetime) -> bool:
    """Whether its time has come; a time further away than any pause is of a clock that jumped."""
    if not entry.due:
        return True
    left = (datetime.fromisoformat(entry.due) - now).total_seconds()
    return left <= 0 or left > LONGEST


def _waits(key: str) -> str:
    return f"{FOLDER}/{key}.json"


def _sent(key: str) -> str:
    return f"{FOLDER}/sent/{key}"


def _read(workspace: Workspace) -> Iterator[Entry]:
    for path in (workspace.root / FOLDER).glob("[0-9a-f]*.json"):
        found = workspace.read_json(f"{FOLDER}/{path.name}")
        yield Entry(**{**found, "message": Message(**found["message"])})


Tell = Callable[[str], None]
