"""Processes that outlive the command that started them, and are found again by pid and birth."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 20.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Daemon:
    """A process of the stack.

    Attributes:
        name: Its files are <folder>/run/<name>.json and <folder>/log/<name>.log.
        folder: The stack's.
    """

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / "log" / f"{self.name}.log"

    @property
    def _note(self) -> Path:
        return self.folder / "run" / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """Return the live process; a pid that another process has by now is not it."""
        try:
            noted = json.loads(self._note.read_bytes())
            found = psutil.Process(noted["pid"])
            same = abs(found.create_time() - noted["born"]) < 1.0
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
            return None

    def start(self, words: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Start it in a session of its own, unless it lives; its words never hold a secret."""
        if self.process() is not None:
            return
        for place in (self.log, self._note):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            started = subprocess.Popen(
                list(words),
                env={**os.environ, **env},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        born = psutil.Process(started.pid).create_time()
        started.returncode = 0  # it outlives us: nobody here waits for it
        self._note.write_text(json.dumps({"pid": started.pid, "born": born}))

    def stop(self) -> bool:
        """End it and all that it started; return whether it lived."""
        found = self.process()
        if found is not None:
            family = [found, *found.children(recursive=True)]
            os.killpg(found.pid, signal.SIGTERM)
            _, left = psutil.wait_procs(family, timeout=PATIENCE)
            for process in left:
                process.kill()
            psutil.wait_procs(left, timeout=PATIENCE)
        self._note.unlink(missing_ok=True)
        return found is not None

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log."""
        if not self.log.is_file():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def until(ready: Callable[[], bool], seconds: float) -> bool:
    """Ask `ready()` until it says yes; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.3)
    return False
