"""A study in a team's PostgreSQL: seen by everybody, taken up again from any host, written by one
process at a time.

The claim is a lock that PostgreSQL holds for as long as a connection of ours lives: killed, or
unplugged, the process loses it within a minute, whatever a wall clock says. Optuna's own heartbeat
is not used: `ask` never sends it. A database that restarts is waited for, and each write is looked
for before it is repeated.
"""

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Busy, ServerUnreachable, SettingsError
from stillhouse.tuning.objectives import Direction

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy import URL, Connection, Engine

T = TypeVar("T")
WHERE = "STILLHOUSE_STUDIES"
PATIENCE, PAUSE, LONGEST = 90.0, 0.2, 3.0  # seconds without the database; between two tries
# Both ends find out within a minute that the other is gone, not within the system's two hours.
KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 6,
}
SESSION = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=6"
_FIX = (
    "Name a PostgreSQL, postgresql://user:password@host/studies, or unset it: then a study is a "
    "file."
)
_HOLDER = (
    "select a.application_name from pg_locks l join pg_stat_activity a on a.pid = l.pid "
    "where l.locktype = 'advisory' and l.granted "
    "and (l.classid::bigint << 32) | l.objid::bigint = :key"
)


def address(studies: SecretStr) -> "URL":
    """Return the database's URL for SQLAlchemy.

    Raises:
        SettingsError: It is not one of PostgreSQL's.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(studies.get_secret_value())
    except ArgumentError:
        raise SettingsError("it is no URL.", where=WHERE, fix=_FIX) from None
    if url.get_backend_name() != "postgresql":
        raise SettingsError(f"'{url.get_backend_name()}' is not taken.", where=WHERE, fix=_FIX)
    return url.set(drivername="postgresql+psycopg")


@dataclass
class Claim:
    """The one right to write a study.

    Attributes:
        engine: Makes connections; each use has its own.
        name: The study.
        clock: For the pauses while the database is away.
    """

    engine: "Engine"
    name: str
    clock: Clock = SYSTEM
    _held: "Connection | None" = field(default=None, repr=False)

    @property
    def key(self) -> int:
        """PostgreSQL's word for the lock: 63 bits of the name's hash."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big") >> 1

    def take(self) -> None:
        """Take the claim, or see that it is still ours; after a restart of the database take it
        again.

        Raises:
            Busy: Another process has it.
            ServerUnreachable: The database stayed away.
        """
        patiently(self._take, self.clock)

    def _take(self) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        if self._held is not None:
            try:
                self._held.execute(text("select 1"))
                return
            except SQLAlchemyError:  # the lock went with the connection
                self.drop()
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": self.key}):
            self._held = connection
            return
        holder = connection.scalar(text(_HOLDER), {"key": self.key}) or "another process"
        connection.close()
        raise Busy(
            f"{holder} works on this study.",
            where=f"{WHERE}, study {self.name}",
            fix="Wait for it, or stop it.",
        )

    def drop(self) -> None:
        """Let go of it."""
        if self._held is not None:
            with contextlib.suppress(Exception):  # a dead connection cannot be closed in order
                self._held.close()
            self._held = None


def patiently(act: Callable[[], T], clock: Clock) -> T:
    """Return what a database answers, waiting while it is away; `act` has to bear being repeated.

    Raises:
        ServerUnreachable: It stayed away.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    until, pause = clock.seconds() + PATIENCE, PAUSE
    while True:
        try:
            return act()
        except (StorageInternalError, SQLAlchemyError) as error:
            if clock.seconds() > until:
                raise ServerUnreachable(
                    f"the studies' database does not answer: {type(error).__name__}.",
                    where=WHERE,
                    fix="Start it, or check the address; the study goes on where it was.",
                ) from None
        clock.sleep(pause)
        pause = min(2 * pause, LONGEST)


@dataclass(frozen=True)
class SharedStudy:
    """Optuna's study as far as a run needs it; every write is ours alone, and happens once.

    Attributes:
        study: Optuna's.
        claim: The right to write it.
    """

    study: "Study"
    claim: Claim

    @property
    def directions(self) -> "list[StudyDirection]":
        return self._ask(lambda: self.study.directions)

    @property
    def trials(self) -> "list[FrozenTrial]":
        return self._ask(lambda: self.study.get_trials(deepcopy=False))

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        return self._ask(lambda: self.study.user_attrs)

    def set_user_attr(self, name: str, value: object) -> None:
        self.claim.take()
        self._ask(lambda: self.study.set_user_attr(name, value))

    def add_trial(self, trial: "FrozenTrial") -> None:
        """Add a trial, unless an earlier try of this very call has."""
        self.claim.take()
        before = len(self.trials)

        def add() -> None:
            if len(self.study.get_trials(deepcopy=False)) == before:
                self.study.add_trial(trial)

        self._ask(add)

    def tell(
        self,
        number: int,
        values: "Sequence[float] | None" = None,
        state: "TrialState | None" = None,
    ) -> None:
        """Finish a trial, unless an earlier try of this very call has."""
        self.claim.take()

        def tell() -> None:
            if not self.study.get_trials(deepcopy=False)[number].state.is_finished():
                self.study.tell(number, values, state)

        self._ask(tell)

    def _ask(self, act: Callable[[], T]) -> T:
        return patiently(act, self.claim.clock)


@contextlib.contextmanager
def opened(
    studies: SecretStr, name: str, directions: Sequence[Direction], clock: Clock = SYSTEM
) -> Iterator[SharedStudy]:
    """Hold a study of the database, new or as it was left.

    Args:
        studies: The database's URL.
        name: The study's, unique in that database.
        directions: Of its objectives.
        clock: For the pauses while the database is away.

    Raises:
        Busy: Another process, here or on another host, works on it.
        SettingsError: It is no PostgreSQL, or its tables are another Optuna's.
        ServerUnreachable: It does not answer.
    """
    import optuna

    engine = _engine(address(studies))
    claim = Claim(engine, name, clock)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.callback(claim.drop)
        claim.take()
        storage = patiently(lambda: _storage(engine), clock)
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)

        def study() -> "Study":
            return optuna.create_study(
                study_name=name, directions=list(directions), storage=storage, load_if_exists=True
            )

        yield SharedStudy(patiently(study, clock), claim)


def _engine(url: "URL") -> "Engine":
    from sqlalchemy import create_engine

    whom = f"stillhouse {socket.gethostname()}:{os.getpid()}"[:63]
    arguments = {**KEEPALIVE, "options": SESSION, "connect_timeout": 10, "application_name": whom}
    return create_engine(url, connect_args=arguments, pool_pre_ping=True)


def _storage(engine: "Engine") -> "RDBStorage":
    """Return Optuna's way to the database, its tables made if they are not there."""
    import optuna
    from sqlalchemy import text

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables = Claim(engine, "optuna's tables")
    url = engine.url.render_as_string(hide_password=False)
    with engine.connect() as connection:  # two hosts may come first at the same moment
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": tables.key})
        try:
            return optuna.storages.RDBStorage(
                url, engine_kwargs={"pool_pre_ping": True, "pool_size": 2}
            )
        except RuntimeError as error:
            raise SettingsError(
                f"the database holds studies of another Optuna: {error}",
                where=WHERE,
                fix="Stop everybody who uses it, then `optuna storage upgrade`; or name another.",
            ) from None
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": tables.key})
