"""One question's shards in a bucket: one machine asks, the others read what it finished."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import ServerUnreachable
from stillhouse.failpoints import failpoint
from stillhouse.knowledge.bucket import Bucket
from stillhouse.knowledge.lease import BEATS, TERM, Lease
from stillhouse.workspace import sha256_bytes

POLL = 2.0  # seconds between two looks at what another one finished


@dataclass(frozen=True)
class Sharing:
    """Where answers are shared, and as whom.

    Attributes:
        bucket: There.
        owner: Who we are, for those who wait for us.
        term: Seconds without a sign of life after which another one asks in our place.
        clock: For waiting.
    """

    bucket: Bucket
    owner: str
    term: float = TERM
    clock: Clock = SYSTEM

    def of(self, address: str) -> "Shelf":
        """Return the place of one question."""
        lease = Lease(self.bucket, address, self.owner, self.term, self.clock)
        return Shelf(self.bucket, address, lease, self.clock)


@dataclass
class Shelf:
    """One question's shards; a name is a shard's without its hash.

    Attributes:
        bucket: Where.
        folder: The question's, in there.
        lease: Who asks.
        clock: For waiting.
    """

    bucket: Bucket
    folder: str
    lease: Lease
    clock: Clock = SYSTEM
    _whole: set[str] = field(init=False, default_factory=set)

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let another one ask: at once, or soon where the store cannot be told."""
        if isinstance(error, ServerUnreachable):
            self.lease.leave()
        else:
            self.lease.give_back()

    def find(self, name: str, waiting: Callable[[str], None]) -> bytes | None:
        """Return a shard that somebody finished, when it is there; None: it is ours to ask.

        Args:
            name: The shard.
            waiting: Called at every look that finds another one asking, with who it is.
        """
        while True:
            names = self.bucket.names(self.folder)
            data = self._finished(names, name)
            if data is not None:
                return data
            if self.lease.held(names):
                return None
            if self.lease.take(names):
                continue  # who had it before may have finished this shard since we looked
            waiting(self.lease.holder(names))
            self.clock.sleep(min(POLL, self.lease.term / BEATS))

    def offer(self, name: str, data: bytes) -> None:
        """Write a shard for others, its bytes' hash in its name, unless there is one already."""
        file = file_of(name, data)
        if file in self._whole:
            return
        if self._finished(self.bucket.names(self.folder), name) is not None:
            return
        failpoint("knowledge.before_share")
        self.bucket.write(f"{self.folder}/{file}", data)
        failpoint("knowledge.after_share")

    def _finished(self, names: list[str], name: str) -> bytes | None:
        """Return a shard if its bytes are those of its name; another is as if it were not there."""
        for found in names:
            if found.startswith(f"{name}.") and found.endswith(".safetensors"):
                data = self.bucket.read(f"{self.folder}/{found}")
                if found == file_of(name, data):
                    self._whole.add(found)
                    return data
        return None


def file_of(name: str, data: bytes) -> str:
    """Return a shard's file name: its place in the order, and the sha256 of its bytes."""
    return f"{name}.{sha256_bytes(data)}.safetensors"
