"""A real PostgreSQL on loopback, in a folder of its own, that can be stopped, killed and started
again.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse_flows.server import free_port

MISSING = "PostgreSQL's binaries (initdb, postgres) are not installed"
PLACES = ("/usr/local/bin", "/usr/bin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")))
USER, START_SECONDS = "stillhouse", 60.0


def binary(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))


def installed() -> bool:
    return binary("initdb") is not None and binary("postgres") is not None


def _as_nobody(*words: str) -> list[str]:
    """PostgreSQL refuses root; the server dies with the process that started it."""
    if os.geteuid() != 0:
        return list(words)
    setpriv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    return [*setpriv, "--pdeathsig", "INT", *words]


@dataclass
class Postgres:
    """One cluster.

    Attributes:
        folder: Its data, owned by who runs it.
        port: On loopback, the same after a restart.
    """

    folder: Path = field(
        default_factory=lambda: Path(tempfile.mkdtemp(prefix="stillhouse-pg-", dir="/tmp"))
    )
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def make(self) -> "Postgres":
        """Make the cluster and start it."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        initdb = [binary("initdb") or "initdb", "-D", str(self.folder / "data"), "-U", USER]
        subprocess.run(
            _as_nobody(*initdb, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"),
            check=True,
            capture_output=True,
            cwd="/",
        )
        return self.start()

    def start(self) -> "Postgres":
        """Start it on its port and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",  # we kill processes, not machines
            "max_connections": 200,
            "log_min_messages": "fatal",
        }
        words = [binary("postgres") or "postgres", "-D", str(self.folder / "data")]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        with log:
            self.process = subprocess.Popen(_as_nobody(*words), stdout=log, stderr=log, cwd="/")
        until = time.monotonic() + START_SECONDS
        while not self._takes():
            assert time.monotonic() < until, "PostgreSQL did not start"
            time.sleep(0.05)
        return self

    def _takes(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def address(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def url(self, database: str) -> str:
        """SQLAlchemy's word for it."""
        return self.address(database).replace("postgresql://", "postgresql+psycopg://")

    def create(self, database: str) -> str:
        """Make an empty database; return its SQLAlchemy URL."""
        self.ask("postgres", f'create database "{database}"')
        return self.url(database)

    def ask(self, database: str, question: str) -> "list[tuple[object, ...]]":
        """Ask it past everybody's code."""
        import psycopg

        with psycopg.connect(self.address(database), autocommit=True) as opened:
            found = opened.execute(question)  # type: ignore[arg-type, call-overload]
            return found.fetchall() if found.description else []

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is its fast way, SIGQUIT its crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def restart(self) -> None:
        """What an operator or a crash does: every connection is cut."""
        self.stop(signal.SIGQUIT)
        self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)
