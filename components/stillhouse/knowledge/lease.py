"""Who asks a teacher, where nobody can hold a lock: an object with an owner and a heartbeat.

A lease is a numbered object; the highest number counts. Whoever takes one over creates the next
number, on the condition that it is not there, and reads it again: whose words are in it, holds it.
So only one of two holds it; where a store knows no such condition the later writer does, and the
earlier one finds out before its next shard. Its owner writes it again and again. Others take it
over when it has not changed for its whole term by their own clock, for clocks of machines differ,
or at once when it was given back or its owner died on this machine.

Nothing hangs on a lease but cost: shards are named by their hash and written whole, so that two who
both ask do the work twice, and no harm.
"""

import contextlib
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import StillhouseError
from stillhouse.failpoints import failpoint
from stillhouse.knowledge.bucket import Bucket
from stillhouse.workspace import dump_json

TERM = 60.0  # seconds without a sign of life after which another one asks
BEATS = 4  # signs of life in a term
LONGEST = 3600.0  # seconds of a term that somebody else's lease may ask for
STEM = "lease-"
_LEFT: set[str] = set()  # nonces of this process's leases that could not be given back


@dataclass(frozen=True)
class Life:
    """A process, as those on the same machine can tell whether it lives.

    Attributes:
        machine: The start of this machine's kernel, and the namespace that numbers processes.
        process: Its number.
        since: When it started, by that kernel: numbers are given again.
    """

    machine: str
    process: int
    since: str

    @classmethod
    def of(cls, process: int) -> "Life | None":
        """Return a process of this machine; None where there is none, or nobody can tell."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            space = os.stat("/proc/self/ns/pid").st_ino
            told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        state, *rest = told.rpartition(")")[2].split()
        return None if state in "ZX" else cls(f"{boot}/{space}", process, rest[18])


@dataclass(frozen=True)
class Words:
    """What a lease says.

    Attributes:
        owner: Whom others wait for, for people.
        nonce: Which of its leases.
        term: Seconds between two signs of life, at most.
        beat: Signs of life so far.
        returned: Whether it was given back.
        life: Its process; None where that cannot be told.
    """

    owner: str
    nonce: str
    term: float
    beat: int = 0
    returned: bool = False
    life: Life | None = None

    @classmethod
    def read(cls, data: bytes) -> "Words | None":
        """Return what bytes say; None where they say nothing, and time alone decides."""
        try:
            held = json.loads(data)
            life = held.pop("life")
            found = cls(**held, life=None if life is None else Life(**life))
            if not 0 < float(found.term) <= LONGEST:
                return None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return found

    @property
    def ended(self) -> bool:
        """Whether nobody asks under it any more, as far as can be told without waiting."""
        return (
            self.returned
            or self.nonce in _LEFT
            or (self.life is not None and _died_here(self.life))
        )


def _died_here(life: Life) -> bool:
    us = Life.of(os.getpid())
    return us is not None and us.machine == life.machine and Life.of(life.process) != life


@dataclass
class Lease:
    """One process's claim to ask about one question.

    Attributes:
        bucket: Where it is written.
        folder: The question's, in there.
        owner: Who we are, for those who wait.
        term: Seconds; see the module.
        clock: For what has not changed.
    """

    bucket: Bucket
    folder: str
    owner: str
    term: float = TERM
    clock: Clock = SYSTEM
    _number: int = field(init=False, default=0)
    _words: Words | None = field(init=False, default=None)
    _watched: tuple[bytes, float] | None = field(init=False, default=None)
    _thread: threading.Thread | None = field(init=False, default=None)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)

    def held(self, names: list[str]) -> bool:
        """Whether we hold it now, of the names that are in the folder."""
        if self._words is None:
            return False
        if _highest(names) == self._number and self._says(self._words):
            return True
        self._end()
        return False

    def take(self, names: list[str]) -> bool:
        """Take it if it is free; return whether we hold it."""
        number = _highest(names)
        if number and not self._is_free(number):
            return False
        words = Words(self.owner, secrets.token_hex(8), self.term, life=Life.of(os.getpid()))
        self._number = number + 1
        failpoint("knowledge.before_lease")
        self.bucket.create(self._name(self._number), _dump(words))
        failpoint("knowledge.after_lease")
        if not self._says(words):
            return False
        self._words, self._stop = words, threading.Event()
        self._thread = threading.Thread(target=self._live, args=(words, self._stop), daemon=True)
        self._thread.start()
        return True

    def holder(self, names: list[str]) -> str:
        """Return who holds it, in words for people."""
        found = Words.read(self.bucket.read(self._name(_highest(names))))
        return "another run" if found is None else found.owner

    def give_back(self) -> None:
        """Let others have it at once, if it is ours. A store that is away does not hear it, and
        the lease expires.
        """
        words = self._words
        self._end()
        if words is not None:
            with contextlib.suppress(StillhouseError, OSError):
                if self._says(words):
                    self._write(replace(words, returned=True))

    def leave(self) -> None:
        """Give no more signs of life, and say nothing: the store does not answer. This process
        need not wait until it expires.
        """
        self._stop.set()
        if self._words is not None:
            _LEFT.add(self._words.nonce)
        self._thread, self._words = None, None

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread, self._words = None, None

    def _live(self, words: Words, stop: threading.Event) -> None:
        """Give signs of life. One that fails is not the run's end: a store that is away is told
        where an answer is written, and a lease that nobody renews expires.
        """
        while not stop.wait(self.term / BEATS):
            words = replace(words, beat=words.beat + 1)
            with contextlib.suppress(StillhouseError, OSError):
                if not self._says(words):
                    return
                self._write(words)

    def _is_free(self, number: int) -> bool:
        data, now = self.bucket.read(self._name(number)), self.clock.seconds()
        words = Words.read(data)
        if words is not None and words.ended:
            return True
        if self._watched is None or self._watched[0] != data:
            self._watched = (data, now)
        return now - self._watched[1] >= (self.term if words is None else words.term)

    def _says(self, words: Words) -> bool:
        """Whether the lease that we wrote is still ours."""
        held = Words.read(self.bucket.read(self._name(self._number)))
        return held is not None and held.nonce == words.nonce

    def _write(self, words: Words) -> None:
        self.bucket.write(self._name(self._number), _dump(words))

    def _name(self, number: int) -> str:
        return f"{self.folder}/{STEM}{number:06d}.json"


def _dump(words: Words) -> bytes:
    return dump_json(asdict(words))


def _highest(names: list[str]) -> int:
    found = [name.removeprefix(STEM).removesuffix(".json") for name in names if STEM in name]
    return max((int(number) for number in found if number.isdecimal()), default=0)
