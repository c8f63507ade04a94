"""DVC from inside: is a stage stale, can it be restored, record it.

Written against DVC 3.67's internals; a test compares dvc.lock with a real `dvc repro`.
"""

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from stillhouse import environment
from stillhouse.errors import Busy, SettingsError
from stillhouse.failpoints import failpoint
from stillhouse.workspace import write_atomic

State = Literal["ran", "restored", "unchanged"]


class Stages:
    """The stages of dvc.yaml, seen through settings that may differ from the files' for one run.

    Args:
        root: The folder of dvc.yaml.
        overlay: File name → text that DVC reads in its place: params.yaml and code.lock.json under
            `--set`.
        told: Called with a sentence when something was found broken and is mended.
    """

    def __init__(self, root: Path, overlay: Mapping[str, str], told: Callable[[str], None]) -> None:
        self.root, self.overlay, self.told = root.absolute(), overlay, told
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
        from dvc.utils import serialize  # noqa: F401  (parsers register on import)

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
        self._mend_lock()
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
        self._mend_rwlock(repo)
        return repo

    def _mend_rwlock(self, repo: Any) -> None:
        """Bring DVC's list of who uses which path in order after a kill: a torn one makes DVC
        refuse every command until somebody deletes it.

        We hold the workspace, and DVC's own guard of the file while we look, so that nobody is
        about to finish it.
        """
        from dvc.lock import LockError, make_lock

        path = Path(repo.tmp_dir) / "rwlock"
        if not path.is_file():
            return
        try:
            with make_lock(
                f"{path}.lock",
                tmp_dir=repo.tmp_dir,
                hardlink_lock=repo.config["core"].get("hardlink_lock", False),
            ):
                users = json.loads(path.read_bytes())
                if (alive := _of_the_living(users)) != users:
                    write_atomic(path, json.dumps(alive).encode())
        except LockError:
            return  # a living DVC command writes it
        except ValueError:
            path.unlink(missing_ok=True)
            self.told(".dvc/tmp/rwlock was torn by a kill; it is removed.")

    def _mend_lock(self) -> None:
        """Remove a dvc.lock that a killed process left cut off, since DVC rewrites it in place: the
        steps are restored from the cache without it.

        Raises:
            SettingsError: It holds a merge conflict, which is for its owner to settle.
        """
        from dvc.exceptions import DvcException
        from dvc.schema import COMPILED_LOCKFILE_SCHEMA
        from dvc.utils.serialize import ParseError, parse_yaml
        from voluptuous import Invalid

        path = self.root / "dvc.lock"
        if not path.is_file():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, str(path)))
        except (Invalid, ParseError, DvcException):
            if "<<<<<<<" in text:
                raise SettingsError(
                    "it holds a merge conflict.",
                    where=str(path),
                    fix="Settle it, or delete the file: results come from the cache.",
                ) from None
            self.told("dvc.lock was cut off; it is made again.")
            path.unlink()

    def close(self) -> None:
        """Let go of DVC's databases."""
        if self._repo is not None:
            self._repo.close()
            self._repo = None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        try:
            # DVC takes a stage of its run cache to lie in the current folder, and a scheduled flow
            # may stand anywhere.
            with contextlib.chdir(self.root), lock_repo(self.repo):
                yield
        except LockError as error:
            raise Busy(
                f"DVC is busy here: {error}",
                where=str(self.root),
                fix="Wait for the other DVC command to end.",
            ) from None

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
        with self._locked():
            return [name for name in names if self._stage(name).changed()]

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
                    stage.remove_outs(
                        force=True
                    )  # DVC would ask before it overwrites a file that its cache does not hold
                    self.repo.stage_cache.restore(stage)
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
            stage.commit()
            stage.dump(update_pipeline=False)
        failpoint(f"step.{name}.after_record")

    @contextlib.contextmanager
    def reserved(self, name: str) -> Iterator[None]:
        """Hold the stage's paths while its body runs, so that `dvc repro` beside us waits or says
        that we are busy.
        """
        from dvc.lock import LockError
        from dvc.rwlock import rwlock

        with self._locked():
            stage = self._stage(name)
            reads, writes = [dep.fs_path for dep in stage.deps], [out.fs_path for out in stage.outs]
        # DVC lets a process in again only under the same label, and its inner calls use this one.
        try:
            with rwlock(
                self.repo.tmp_dir,
                self.repo.fs,
                " ".join(sys.argv),
                reads,
                writes,
                self.repo.config["core"].get("hardlink_lock", False),
            ):
                yield
        except LockError as error:
            raise Busy(
                f"DVC is busy with '{name}': {error}",
                where=str(self.root),
                fix="Wait for the other DVC command to end.",
            ) from None

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
        path = Path(out.fs_path)
        values = [out.hash_info.value] if out.hash_info and out.hash_info.value else []
        if path.is_dir():
            values += [_md5(p) for p in path.rglob("*") if p.is_file()]
        cache = Path(self.repo.cache.local.path)
        for value in values:
            stored = cache / value[:2] / value[2:]
            if (
                stored.is_file()
                and _md5(stored) + (".dir" if value.endswith(".dir") else "") != value
            ):
                stored.chmod(0o600)
                stored.unlink()
        out.remove()


def _of_the_living(users: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return DVC's list without processes that are gone: `read` names several a path, `write`
    one.
    """
    reads = {
        path: [user for user in of if _lives(user["pid"])]
        for path, of in users.get("read", {}).items()
    }
    writes = {path: user for path, user in users.get("write", {}).items() if _lives(user["pid"])}
    return {"write": writes, "read": {path: of for path, of in reads.items() if of}}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, hence alive
        return True
    return True


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
