"""DVC from inside: is a stage stale, can it be restored, record it.

Written against DVC 3.67's internals; a test compares dvc.lock with a real `dvc repro`.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Busy, SettingsError
from stillhouse.failpoints import failpoint
from stillhouse.pipeline import parsing
from stillhouse.pipeline.mending import mend_lock, mend_rwlock

State = Literal["ran", "restored", "unchanged"]
PATIENCE = 60.0  # seconds for another DVC command to let go of what we need
T = TypeVar("T")


class Stages:
    """The stages of dvc.yaml, seen through settings that may differ from the files' for one run.

    Args:
        root: The folder of dvc.yaml.
        overlay: File name → text that DVC reads in its place: params.yaml and code.lock.json under
            `--set`.
        told: Called with a sentence when something was found broken and is mended, or is waited
            for.
        clock: For waiting.
    """

    def __init__(
        self,
        root: Path,
        overlay: Mapping[str, str],
        told: Callable[[str], None],
        clock: Clock = SYSTEM,
    ) -> None:
        self.root, self.overlay, self.told, self.clock = root.absolute(), overlay, told, clock
        self._repo: Any = None
        self._known: dict[str, Any] = {}
        self._read_at: tuple[int, ...] = ()

    @property
    def repo(self) -> Any:
        """The open repository.

        Raises:
            SettingsError: The folder has no .dvc/ or dvc.yaml.
        """
        if self._repo is None:
            self._repo = self._open()
        return self._repo

    def _open(self) -> Any:
        from dvc.exceptions import NotDvcRepoError
        from dvc.fs import LocalFileSystem
        from dvc.repo import Repo

        for name in ("dvc", "dvc.dvcfile", "dvc.stage.cache", "dvc.repo"):
            logging.getLogger(name).setLevel(logging.ERROR)
        texts = {str(self.root / name): text for name, text in self.overlay.items()}

        class Overlaid(LocalFileSystem):  # type: ignore[misc]
            """The local file system, read-only overlaid: DVC sees this run's settings, the files
            keep theirs.
            """

            def open(self, path: str, mode: str = "r", **rest: Any) -> Any:
                import io

                text = texts.get(os.path.abspath(path))
                if text is not None and "w" not in mode and "a" not in mode:
                    return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text)
                return super().open(path, mode=mode, **rest)

        if not (self.root / "dvc.yaml").is_file():
            raise SettingsError(
                "there is no dvc.yaml.",
                where=str(self.root),
                fix="Run inside a Stillhouse project.",
            )
        parsing.remember()
        mend_lock(self.root, self.told)
        try:
            repo = Repo(str(self.root), fs=Overlaid())
        except NotDvcRepoError:
            raise SettingsError(
                "the folder is no DVC repository.",
                where=str(self.root),
                fix="Run `dvc init` (or `dvc init --no-scm`) here once.",
            ) from None
        for folder in (self.root / environment.HIDDEN / "dvc").glob("**/"):
            folder.chmod(0o700)  # DVC makes it 0777, and keeps pickles in it
        mend_rwlock(repo, self.told)
        return repo

    def close(self) -> None:
        """Let go of DVC's databases."""
        if self._repo is not None:
            self._repo.close()
            self._repo = None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        # DVC takes a stage of its run cache to lie in the current folder, and a scheduled flow may
        # stand anywhere.
        try:
            with contextlib.chdir(self.root), contextlib.ExitStack() as stack:
                self._waited(lambda: stack.enter_context(lock_repo(self.repo)))
                yield
        except sqlite3.Error as error:  # what DVC remembers of files: full disk, no memory
            raise OSError(f"DVC cannot use its database: {error}") from None
        except LockError as error:  # a path is taken while we hold the repository
            raise self._busy(error) from None

    def _waited(self, take: Callable[[], T]) -> T:
        """Take one of DVC's locks, and wait for whoever has it: a step that DVC starts never waits
        for us, so that we cannot wait for each other.

        Raises:
            Busy: It was not free in time; the message is DVC's, which names the other command.
        """
        from dvc.lock import LockError

        deadline, told = self.clock.seconds() + PATIENCE, False
        while True:
            try:
                return take()
            except LockError as error:
                if self.clock.seconds() > deadline:
                    raise self._busy(error) from None
                if not told:
                    self.told(f"Waiting for another DVC command: {' '.join(str(error).split())}")
                    told = True
            except sqlite3.Error as error:
                raise OSError(f"DVC cannot use its database: {error}") from None
            self.clock.sleep(0.5)

    def _busy(self, error: Exception) -> Busy:
        return Busy(
            f"DVC is busy here: {' '.join(str(error).split())}",
            where=str(self.root),
            fix="Wait for the other DVC command to end.",
        )

    def _stage(self, name: str) -> Any:
        """Return a stage; dvc.yaml and dvc.lock are read again only if they changed, since that
        takes a fifth of a second.

        Raises:
            SettingsError: dvc.yaml cannot be read, or lacks the stage.
        """
        from dvc.exceptions import DvcException

        path, fix = self.root / "dvc.yaml", "Bring it back as it was: git checkout dvc.yaml."
        stamp = tuple(
            p.stat().st_mtime_ns if p.is_file() else 0 for p in (path, self.root / "dvc.lock")
        )
        if stamp != self._read_at:
            try:
                self._known = {stage.name: stage for stage in self.repo.stage.load_all(str(path))}
            except DvcException as error:
                raise SettingsError(
                    f"DVC cannot read it: {str(error).splitlines()[0]}.", where=str(path), fix=fix
                ) from None
            self._read_at = stamp
        if name not in self._known:
            raise SettingsError(f"it has no stage '{name}'.", where=str(path), fix=fix)
        return self._known[name]

    def stale(self, names: Iterable[str]) -> list[str]:
        """Return the stages whose settings, code, inputs or outputs differ from what dvc.lock
        recorded.
        """
        from dvc.repo import lock_repo

        asked = list(names)

        def ask() -> list[str]:
            with contextlib.chdir(self.root), lock_repo(self.repo):
                return [name for name in asked if self._stage(name).changed()]

        return self._waited(ask)

    def whole(self, name: str) -> bool:
        """Whether the stage's outputs have the hashes that dvc.lock recorded; asked of files, not
        of DVC's memory of them.
        """
        return all(self._whole(out) for out in self._stage(name).outs)

    def up_to_date(self, name: str) -> State | None:
        """Return how the stage's results are in place without running it, or None if it must run.

        Whatever is served is checked against its recorded hash: DVC itself serves a corrupt cache
        silently. A corrupt object is removed and told.
        """
        from dvc.stage.cache import RunCacheNotFoundError
        from dvc_data.hashfile.hash_info import HashInfo

        with self._locked():
            stage = self._stage(name)
            state: State = "unchanged"
            if stage.changed():
                self._tell_spoilt(stage)
                if stage.changed_stage() or stage.changed_deps():
                    # DVC would take the outputs of the last run for the answer to dependencies that
                    # we are about to save as they are now.
                    for out in stage.outs:
                        out.hash_info = HashInfo()
                try:
                    stage.save_deps()
                    self.repo.stage_cache.restore(stage, dry=True)
                    failpoint("pipeline.before_restore")
                    stage.remove_outs(
                        force=True
                    )  # DVC would ask before it overwrites a file that its cache does not hold
                    failpoint("pipeline.between_restore")
                    self.repo.stage_cache.restore(stage)
                    failpoint("pipeline.after_restore")
                except RunCacheNotFoundError:
                    return None
                stage.save(run_cache=False)
                stage.commit()
                stage.dump(update_pipeline=False)
                state = "restored"
            broken = [out for out in stage.outs if not self._whole(out)]
            for out in broken:
                self._discard(out)
            return None if broken else state

    def record(self, name: str) -> None:
        """Write down that the stage's outputs belong to its settings, code and inputs as they are
        now.
        """
        with self._locked():
            stage = self._stage(name)
            stage.save_deps()
            failpoint(f"step.{name}.before_record")
            stage.save(run_cache=True)
            failpoint("pipeline.before_commit")
            for out in stage.outs:
                self._clear(_objects(Path(out.fs_path)))
            stage.commit()
            failpoint("pipeline.before_dump")
            stage.dump(update_pipeline=False)
        failpoint(f"step.{name}.after_record")

    @contextlib.contextmanager
    def reserved(self, name: str) -> Iterator[None]:
        """Hold the stage's paths while its body runs, so that `dvc repro` beside us says that we
        are busy.
        """
        from dvc.rwlock import rwlock

        with self._locked():
            stage = self._stage(name)
            reads, writes = [dep.fs_path for dep in stage.deps], [out.fs_path for out in stage.outs]
        # DVC lets a process in again only under the same label, and its inner calls use this one.
        label = " ".join(sys.argv)
        hard = self.repo.config["core"].get("hardlink_lock", False)
        with contextlib.ExitStack() as stack:
            self._waited(
                lambda: stack.enter_context(
                    rwlock(self.repo.tmp_dir, self.repo.fs, label, reads, writes, hard)
                )
            )
            yield

    def _tell_spoilt(self, stage: Any) -> None:
        """Tell which outputs are not what dvc.lock recorded, where nothing that they come from has
        changed: then somebody spoilt them.
        """
        if stage.changed_stage() or stage.changed_deps():
            return
        for out in stage.outs:
            if Path(out.fs_path).exists() and not self._whole(out):
                self.told(f"{out.def_path} differs from its recorded hash; it is put back.")

    def _whole(self, out: Any) -> bool:
        path = Path(out.fs_path)
        recorded = out.hash_info.value if out.hash_info else None
        if not path.exists() or recorded is None:
            return False
        return bool((_folder_md5(path) + ".dir" if path.is_dir() else _md5(path)) == recorded)

    def _discard(self, out: Any) -> None:
        self.told(f"{out.def_path} differs from its recorded hash; it is made again.")
        failpoint("pipeline.before_discard")
        self._clear([out.hash_info.value] if out.hash_info and out.hash_info.value else [])
        failpoint("pipeline.between_discard")
        out.remove()
        failpoint("pipeline.after_discard")

    def _clear(self, names: Iterable[str]) -> None:
        """Remove what DVC's cache holds under these names, but with other bytes: it would take it
        for whole, and not write it again.
        """
        cache = Path(self.repo.cache.local.path)
        for name in names:
            stored = cache / name[:2] / name[2:]
            suffix = ".dir" if name.endswith(".dir") else ""
            if stored.is_file() and _md5(stored) + suffix != name:
                stored.chmod(0o600)
                stored.unlink()


def _objects(path: Path) -> list[str]:
    """Return the names under which DVC's cache keeps a file, or a folder and its files."""
    if path.is_dir():
        return [_folder_md5(path) + ".dir", *(_md5(p) for p in path.rglob("*") if p.is_file())]
    return [_md5(path)]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _folder_md5(path: Path) -> str:
    """Return DVC's digest of a folder: md5 over the JSON of its files' digests and relative
    names.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file())
    listing = [
        {"md5": _md5(p), "relpath": p.relative_to(path).as_posix()}
        for p in sorted(files, key=lambda p: p.relative_to(path).parts)
    ]
    return hashlib.md5(
        json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False
    ).hexdigest()
