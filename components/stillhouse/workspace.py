"""The only writers. A file under its final name is always whole: temporary file, fsync, rename,
fsync of the folder.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Busy, Corrupt, SourceError
from stillhouse.failpoints import failpoint

if TYPE_CHECKING:
    from torch import Tensor


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes, or of a folder's sorted (relative name, digest)
    pairs.
    """
    if path.is_dir():
        inner = [
            (str(p.relative_to(path)), sha256(p)) for p in sorted(path.rglob("*")) if p.is_file()
        ]
        return hashlib.sha256(json.dumps(inner).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the hex digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def dump_json(value: object) -> bytes:
    """Return JSON with sorted keys and an end of line; the same value gives the same bytes.

    NaN is refused: JSON has none.
    """
    return (
        json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    ).encode()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that its name only ever shows the old bytes or all of the new ones.

    Raises:
        OSError: The disk is full or broken; the old file is left as it was.
    """
    write_stream(path, (data,))


def write_stream(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file part by part, as `write_atomic` does, so that it may be larger than memory."""
    failpoint("workspace.before_write")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        descriptor = os.open(
            scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            failpoint("workspace.before_fsync")
            os.fsync(file.fileno())
        failpoint("workspace.before_replace")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)
    failpoint("workspace.after_replace")


def write_once(path: Path, data: bytes) -> None:
    """Write a file if there is none of its name, whole; of several who write it one does, and
    nothing happens for the others.

    Raises:
        OSError: The disk is full, or the file system knows no second name for a file.
    """
    once = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.once")
    write_atomic(once, data)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(once, path)
    finally:
        once.unlink(missing_ok=True)
    sync_folder(path.parent)


def _sweep(path: Path) -> None:
    """Remove what killed writers of this file left beside it; those that still run are left
    alone.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        try:
            os.kill(int(left.name.split(".")[-3]), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except (ValueError, PermissionError):  # not ours to judge
            continue


def sync_folder(path: Path) -> None:
    """Make renames inside a folder last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep other processes that ask for the same folder out; the kernel frees it however we end.

    Args:
        folder: It has to be there.
        waiting: Called once if somebody else holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def dump_tensors(tensors: "Mapping[str, Tensor]", note: str = "") -> bytes:
    """Return safetensors bytes, the same for the same tensors.

    Args:
        tensors: Name → tensor of any shape; they are stored contiguous, on the CPU.
        note: One text, kept as the file's only metadata key: two keys would be ordered differently
            in every process.
    """
    from safetensors.torch import save

    ordered = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    data: bytes = save(ordered, metadata={"note": note} if note else None)
    return data


def load_tensors(path: Path) -> "dict[str, Tensor]":
    """Return the tensors of a safetensors file.

    Raises:
        SourceError: The file is missing or is not safetensors, whatever its name says.
    """
    if not path.is_file():
        raise SourceError(
            f"there is no file '{path.name}'.", where=str(path), fix="Check the path."
        )
    return parse_tensors(path.read_bytes(), where=str(path))


def parse_tensors(data: bytes, *, where: str) -> "dict[str, Tensor]":
    """Return the tensors in safetensors bytes.

    Raises:
        SourceError: The bytes are not safetensors (a pickle under that name, for instance), or the
            header is over 10 MB.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    header = int.from_bytes(data[:8], "little") if len(data) >= 8 else 0
    if not 2 <= header <= 10_000_000 or data[8:9] != b"{":
        kind = (
            "a pickle or a zip archive of pickles"
            if data[:1] == b"\x80" or data[:2] == b"PK"
            else "something else"
        )
        raise SourceError(
            f"the file is not safetensors but {kind}.",
            where=where,
            fix="Save the weights with safetensors; nothing is ever unpickled.",
        )
    try:
        tensors: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise SourceError(
            f"the file is broken: {error}.", where=where, fix="Save it again."
        ) from None
    return tensors


@dataclass(frozen=True)
class Workspace:
    """The folder that holds params.yaml, and the only way to write into it.

    Attributes:
        root: Absolute.
        clock: For waiting at the lock.
    """

    root: Path
    clock: Clock = field(default=SYSTEM, compare=False)

    @property
    def hidden(self) -> Path:
        """`.stillhouse/`: what is neither science nor result."""
        return self.root / environment.HIDDEN

    @property
    def artifacts(self) -> Path:
        """`artifacts/`: a folder a step."""
        return self.root / "artifacts"

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a file at `name`, relative to the root; atomic."""
        write_atomic(self.root / name, data)
        return self.root / name

    def write_json(self, name: str, value: object) -> Path:
        """Write JSON, sorted; the same value gives the same bytes."""
        return self.write_bytes(name, dump_json(value))

    def write_if_changed(self, name: str, data: bytes) -> bool:
        """Write only if the bytes differ, so that a file's time says when it really changed; return
        whether it did.
        """
        path = self.root / name
        if path.is_file() and path.read_bytes() == data:
            _sweep(path)
            return False
        write_atomic(path, data)
        return True

    def read_json(self, name: str) -> Any:
        """Return what a JSON file of ours holds.

        Raises:
            Corrupt: It is not JSON any more.
        """
        path = self.root / name
        try:
            return json.loads(path.read_bytes())
        except ValueError:
            raise Corrupt(
                "the file is not JSON any more.", where=str(path), fix="Delete it and run again."
            ) from None

    def remove(self, name: str) -> None:
        """Remove a file or folder of ours; nothing happens if it is not there."""
        path = self.root / name
        failpoint("workspace.before_remove")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        failpoint("workspace.after_remove")

    @contextlib.contextmanager
    def lock(
        self,
        *,
        holder: str,
        wait: float = 3600.0,
        waiting: Callable[[str], None] = lambda who: None,
    ) -> Iterator[None]:
        """Hold the workspace: one run at a time.

        The kernel frees it when the process dies, however it dies.

        Args:
            holder: Who we are, for those who wait.
            wait: Seconds after which we give up.
            waiting: Called once, with the holder's words, if somebody else holds it.

        Raises:
            Busy: It was not free within `wait` seconds.
        """
        self.hidden.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.hidden / "lock").open("a+") as file:
            deadline, told = self.clock.seconds() + wait, False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    file.seek(0)
                    who = file.read().strip() or "another run"
                    if not told:
                        waiting(who)
                        told = True
                    if self.clock.seconds() > deadline:
                        raise Busy(
                            f"the workspace is held by {who}.",
                            where=str(self.root),
                            fix="Wait for it, or stop it.",
                        ) from None
                    self.clock.sleep(0.2)
            file.seek(0)
            file.truncate()
            file.write(
                f"{holder} (pid {os.getpid()}, since "
                f"{self.clock.now().isoformat(timespec='seconds')})"
            )
            file.flush()
            yield


@dataclass(frozen=True)
class StepFiles:
    """What a step sees of the workspace: it reads other steps' results, and writes only its own,
    which appear when it has returned.

    Names are `step/file`, such as `prepare/test.safetensors`.
    """

    workspace: Workspace
    step: str

    @property
    def fresh(self) -> Path:
        """Where this step's new files wait until its body has returned."""
        return self.workspace.hidden / "new" / self.step

    def path(self, name: str) -> Path:
        """Return the place of `step/file`: this step's own new one, or another step's finished
        one.
        """
        step, _, rest = name.partition("/")
        return self.fresh / rest if step == self.step else self.workspace.artifacts / name

    @property
    def scratch(self) -> Path:
        """A folder for checkpoints and journals that survive a kill; it is not a result."""
        place = self.workspace.hidden / "work" / self.step
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a new file of this step; atomic."""
        write_atomic(self.path(name), data)

    def write_json(self, name: str, value: object) -> None:
        """Write a new JSON file of this step."""
        self.write_bytes(name, dump_json(value))

    def write_tensors(self, name: str, tensors: "Mapping[str, Tensor]", note: str = "") -> None:
        """Write a new safetensors file of this step."""
        self.write_bytes(name, dump_tensors(tensors, note))

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes."""
        return self.path(name).read_bytes()

    def read_json(self, name: str) -> Any:
        """Return what a JSON file holds.

        Raises:
            Corrupt: It is not JSON any more.
        """
        try:
            return json.loads(self.path(name).read_bytes())
        except ValueError:
            raise Corrupt(
                "the file is not JSON any more.",
                where=str(self.path(name)),
                fix="Run the step that makes it again.",
            ) from None

    def read_tensors(self, name: str) -> "dict[str, Tensor]":
        """Return the tensors of a safetensors file. Errors as `load_tensors`."""
        return load_tensors(self.path(name))
