"""The command line without the seconds that its imports take: a process that has imported already
what commands import, and becomes one by forking.

What it forks has the environment, folder, streams and signals of a process that was started anew;
Prefect, which settles its settings when it is imported, is left to it.
"""

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

TESTS = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


SHIM = """#!{python} -SE
import sys
sys.path.append({tests!r})
from integration.zygote import begin
import os
begun = begin({address!r}, sys.argv[1:], os.getcwd(), dict(os.environ), (0, 1, 2))
sys.exit(begun.wait())
"""


@dataclass(frozen=True)
class Zygote:
    """One such process.

    Attributes:
        address: The socket at which it takes commands.
        bin: A folder with a `stillhouse` that asks it, for a PATH.
        process: It; the kernel ends it with this one.
    """

    address: str
    bin: Path
    process: "subprocess.Popen[bytes]"

    def begin(
        self, words: list[str], folder: Path, env: Mapping[str, str], *, to: list[Path]
    ) -> "Forked":
        """Start `stillhouse`.

        Args:
            words: After `stillhouse`.
            folder: Where.
            env: All of the environment.
            to: Files for stdout and stderr.
        """
        with open(os.devnull, "rb") as nothing, to[0].open("wb") as out, to[1].open("wb") as err:
            streams = (nothing.fileno(), out.fileno(), err.fileno())
            return begin(self.address, words, str(folder), dict(env), streams)


@dataclass
class Forked:
    """A command that was started, as much as is needed of what `subprocess.Popen` gives.

    Attributes:
        line: On which it is told how the command ends.
        pid: Of the command.
        code: How it ended, once it was told.
    """

    line: socket.socket
    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        told = self.code is not None or bool(select.select([self.line], [], [], 0)[0])
        return self.wait() if told else None

    def wait(self) -> int:
        """Wait, and return how it ended: minus the signal, if one ended it."""
        if self.code is None:
            self.code = _number(self.line)
            self.line.close()
        return self.code


def begin(
    address: str, words: list[str], folder: str, env: dict[str, str], streams: tuple[int, int, int]
) -> Forked:
    """Let a zygote start a command on our streams."""
    asked = json.dumps({"words": words, "folder": folder, "env": env})
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    socket.send_fds(line, [b"."], streams)
    line.sendall(asked.encode() + b"\n")
    return Forked(line, _number(line))


def _number(line: socket.socket) -> int:
    said = b""
    while not said.endswith(b"\n"):
        said += line.recv(1) or b"\n"
    return int(said)


def zygote() -> Zygote:
    """Return this process's zygote, started on first use."""
    with _ONCE:
        return _started()


_ONCE = threading.Lock()


@cache
def _started() -> Zygote:
    from stillhouse_flows.server import die_with_parent

    scratch = tempfile.mkdtemp(prefix="stillhouse-zygote-")
    address, shim = f"{scratch}/commands", Path(scratch) / "bin" / "stillhouse"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable, tests=str(TESTS), address=address))
    shim.chmod(0o700)
    quiet = {
        "HOME": scratch,
        "MPLCONFIGDIR": scratch,
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(TESTS),
    }
    kept = {k: os.environ[k] for k in ("PATH", "LANG", "OMP_NUM_THREADS") if k in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", "from integration.zygote import serve; serve()", address],
        env={**kept, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd="/",
        preexec_fn=die_with_parent,
    )
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    atexit.register(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return Zygote(address, shim.parent, process)


# --- in the zygote ------------------------------------------------------------------------------


def serve() -> NoReturn:
    """Import, then fork a command for each line that comes."""
    address = sys.argv[-1]
    warm()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen(16)
        os.write(1, b"ready\n")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a watcher ended
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _watch(line)
            line.close()


def warm() -> None:
    import importlib

    from release.house import HEAVY

    for name in ("faults.warm", *HEAVY, "stillhouse.pipeline.publish", "stillhouse_flows.cli"):
        importlib.import_module(name)


def _watch(line: socket.socket) -> NoReturn:
    """Fork the command, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    with line.makefile() as read:
        asked = json.loads(read.readline())
    pid = os.fork()
    if pid == 0:
        line.close()
        _become(asked, streams)
    for stream in streams:
        os.close(stream)
    with suppress(OSError):
        line.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: dict[str, Any], streams: list[int]) -> NoReturn:
    code = 1
    try:
        _settle(asked, streams)
        from stillhouse_flows.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def _settle(asked: dict[str, Any], streams: list[int]) -> None:
    """Take the folder, environment, streams and signals of a process that was started anew."""
    os.environ.clear()
    os.environ.update(asked["env"])
    tempfile.tempdir = None
    os.chdir(asked["folder"])
    sys.argv = [str(BIN / "stillhouse"), *asked["words"]]
    sys.path[:] = [str(BIN), *(place for place in sys.path if place not in ("", str(TESTS)))]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
