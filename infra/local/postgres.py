"""PostgreSQL as a plain process of this user; as root, of `nobody`, since it refuses root."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USER = "stillhouse"
DATABASES = ("mlflow", "mlflow_auth", "prefect")
PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian keeps its servers off the PATH
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)


class Missing(Exception):
    """PostgreSQL is not installed."""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, the newest version first.

    Raises:
        Missing: It is not installed.
    """
    for pattern in PLACES:
        for place in sorted(Path("/").glob(pattern[1:]), reverse=True):
            if (place / name).is_file():
                return str(place / name)
    found = shutil.which(name)
    if found is None:
        raise Missing(f"PostgreSQL's {name} is not installed (apt install postgresql).")
    return found


def as_user(*words: str) -> list[str]:
    """Return the command as who may run PostgreSQL."""
    if os.geteuid() != 0:
        return list(words)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]


@dataclass(frozen=True)
class Postgres:
    """One cluster on loopback, with passwords.

    Attributes:
        folder: The stack's.
        port: On 127.0.0.1; there is no socket.
        password: Of the one user.
    """

    folder: Path
    port: int
    password: str

    @property
    def home(self) -> Path:
        """Where it keeps its data: outside the stack's private folder if another user runs it."""
        if os.geteuid() != 0:
            return self.folder / "postgres"
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path("/var/lib") / f"stillhouse-team-{mark}"

    @property
    def env(self) -> dict[str, str]:
        """What its clients need: the password stands in no address and on no command line."""
        return {"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}

    def url(self, database: str, driver: str = "psycopg") -> str:
        """Return SQLAlchemy's address of a database, without the password."""
        return f"postgresql+{driver}://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster if there is none, start it, and make the databases that are missing."""
        if not (self.home / "data" / "PG_VERSION").is_file():
            self._make()
        if not self.lives():
            settings = (
                f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories= "
                "-c max_connections=200 -c password_encryption=scram-sha-256"
            )
            self._run("pg_ctl", "-D", self._data, "-l", self._log, "-o", settings, "-w", "start")
        for name in DATABASES:
            if self.ask(f"select 1 from pg_database where datname = '{name}'") == "":
                self.ask(f"create database {name}")

    def stop(self) -> bool:
        """Stop it in its fast way, every transaction whole; return whether it ran."""
        if not self.lives():
            return False
        self._run("pg_ctl", "-D", self._data, "-m", "fast", "-w", "stop")
        return True

    def lives(self) -> bool:
        """Whether the server runs."""
        if not (self.home / "data" / "postmaster.pid").is_file():
            return False
        words = as_user(program("pg_ctl"), "-D", self._data, "status")
        return subprocess.run(words, capture_output=True, cwd="/", check=False).returncode == 0

    def answers(self) -> bool:
        """Whether it takes connections."""
        words = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(words, check=False).returncode == 0

    def ask(self, question: str, database: str = "postgres") -> str:
        """Return what psql prints for a question of ours."""
        words = [program("psql"), "-XAtq", *self._where(database), "-c", question]
        return _run(words, self.env).strip()

    def dump(self, database: str, file: Path) -> None:
        """Write one database, as one transaction saw it."""
        _run([program("pg_dump"), "-Fc", "-f", str(file), *self._where(database)], self.env)

    def load(self, database: str, file: Path) -> None:
        """Replace one database by what was dumped; nobody may be connected."""
        self.ask(f"drop database if exists {database} with (force)")
        self.ask(f"create database {database}")
        words = [program("pg_restore"), "--exit-on-error", "--no-owner", "--single-transaction"]
        _run([*words, *self._where(database), str(file)], self.env)

    # --- inside ----------------------------------------------------------------------------------

    @property
    def _data(self) -> str:
        return str(self.home / "data")

    @property
    def _log(self) -> str:
        return str(self.home / "server.log")

    def _where(self, database: str) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]

    def _make(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if os.geteuid() == 0:
            for place in (self.home, password):
                shutil.chown(place, "nobody", "nogroup")
        words = ("-D", self._data, "-U", USER, "-A", "scram-sha-256", "-E", "UTF8")
        self._run("initdb", *words, "--locale=C.UTF-8", f"--pwfile={password}")
        password.unlink()

    def _run(self, name: str, *words: str) -> None:
        _run(as_user(program(name), *words), {})


def _run(words: list[str], env: Mapping[str, str]) -> str:
    """Run one of PostgreSQL's programs.

    Raises:
        RuntimeError: It failed; the message has its words.
    """
    daemonises = Path(words[-1]).name == "start"  # the server would hold a pipe open for ever
    done = subprocess.run(
        words,
        env={**os.environ, **env},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if daemonises else subprocess.PIPE,
        stderr=subprocess.DEVNULL if daemonises else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[-6:])} failed: {done.stderr or 'see its log'}")
    return done.stdout or ""
