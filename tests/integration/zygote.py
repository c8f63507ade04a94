"""The command line without the seconds that its imports take: a process that has imported already
what commands import, and becomes one by forking.

What it forks has the environment, folder, streams and signals of a process that was started anew;
Prefect, which settles its settings when it is imported, is left to it.
"""

import atexit
import json
import os
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


@dataclass(frozen=True)
class Zygote:
    """One such process.

    Attributes:
        address: The socket at which it takes commands.
        process: It; the kernel ends it with this one.
    """

    address: str
    process: "subprocess.Popen[bytes]"

    def run(self, words: list[str], folder: Path, env: Mapping[str, str], *, to: list[Path]) -> int:
        """Run `stillhouse` and return how it ended, as `subprocess.run` tells it.

        Args:
            words: After `stillhouse`.
            folder: Where.
            env: All of the environment.
            to: Files for stdout and stderr.
        """
        asked = {"words": words, "folder": str(folder), "env": dict(env), "to": list(map(str, to))}
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self.address)
            line.sendall(json.dumps(asked).encode() + b"\n")
            with line.makefile() as answer:
                return int(answer.readline())


def zygote() -> Zygote:
    """Return this process's zygote, started on first use."""
    with _ONCE:
        return _started()


_ONCE = threading.Lock()


@cache
def _started() -> Zygote:
    from stillhouse_flows.server import die_with_parent

    scratch = tempfile.mkdtemp(prefix="stillhouse-zygote-")
    address = f"{scratch}/commands"
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
    atexit.register(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return Zygote(address, process)


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
    with line.makefile() as read:
        asked = json.loads(read.readline())
    pid = os.fork()
    if pid == 0:
        line.close()
        _become(asked)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        _settle(asked)
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


def _settle(asked: dict[str, Any]) -> None:
    """Take the folder, environment, streams and signals of a process that was started anew."""
    os.environ.clear()
    os.environ.update(asked["env"])
    tempfile.tempdir = None
    os.chdir(asked["folder"])
    sys.argv = [str(BIN / "stillhouse"), *asked["words"]]
    sys.path[:] = [str(BIN), *(place for place in sys.path if place not in ("", str(TESTS)))]
    for number, (path, mode) in enumerate(
        (
            (os.devnull, os.O_RDONLY),
            *((p, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for p in asked["to"]),
        )
    ):
        opened = os.open(path, mode, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
