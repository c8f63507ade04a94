"""Stored answers, opened only if they are whole and still what this teacher says of these rows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.errors import Corrupt, UsageError
from stillhouse.evaluation.tasks import task_of
from stillhouse.knowledge.keep import Keep, keep_of
from stillhouse.knowledge.looked import PREFIX
from stillhouse.knowledge.mapped import mapped
from stillhouse.knowledge.question import FORMAT, MANIFEST, PLAIN, Shard, rows_digest
from stillhouse.knowledge.stale import AGAIN, close, how_answers_differ, how_rows_differ, stale
from stillhouse.teachers.ask import ask
from stillhouse.teachers.recall import recall
from stillhouse.teachers.teacher import Oracle
from stillhouse.workspace import StepFiles, dump_json, parse_tensors, sha256_bytes

FOLDER = "knowledge/store"
SAID = {"teacher", "data", "rows", "classes", "sentinels"}  # what every manifest says
MAPPED_BYTES = 256 * 2**20  # of float32, above which answers are mapped rather than read


@dataclass(frozen=True)
class Knowledge:
    """A teacher's answers to N rows.

    Attributes:
        folder: Where the store is.
        manifest: What it says of itself.
        shards: Its files, by view and position.
    """

    folder: Path
    manifest: dict[str, Any]
    shards: tuple[Shard, ...]

    @classmethod
    def open(
        cls,
        folder: Path,
        dataset: Dataset,
        oracle: Oracle | None = None,
        *,
        teacher: str | None = None,
    ) -> "Knowledge":
        """Return the stored answers to these rows, after every shard was compared with its hash.

        Args:
            folder: The store.
            dataset: The rows that the answers must be about, in this order.
            oracle: The teacher, to be asked about the sentinel rows again; None where it cannot be
                asked.
            teacher: The fingerprint that the store must be of; None where any will do.

        Raises:
            Corrupt: A file is missing or its bytes are not those that were stored.
            UsageError: The answers are stale: of another teacher, other or permuted rows, changed
                inputs, another class order. The message says which.
        """
        found = cls._read(folder)
        rows = torch.cat(
            [found._shard(shard)["rows"] for shard in found.shards if shard.view == 0]
            or [torch.empty(0, dtype=torch.int64)]
        )
        found._require_same(dataset, rows, teacher)
        if oracle is not None:
            found._ask_again(oracle, dataset)
        return found

    @classmethod
    def _read(cls, folder: Path) -> "Knowledge":
        path = folder / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
            shards = tuple(Shard(**shard) for shard in manifest["shards"])
            whole = _follow(shards, manifest["views"], manifest["count"])
        except FileNotFoundError:
            raise Corrupt(
                "there is no manifest: the store was not finished.", where=str(folder), fix=AGAIN
            ) from None
        except (ValueError, KeyError, TypeError):
            raise Corrupt("the manifest is broken.", where=str(path), fix=AGAIN) from None
        if manifest.get("format") != FORMAT:
            raise UsageError(
                f"the store has the format {manifest.get('format')}, not {FORMAT}.",
                where=str(folder),
                fix=AGAIN,
            )
        if not whole or not manifest.keys() >= SAID:
            raise Corrupt(
                "the manifest does not name the shards of all rows, one after another.",
                where=str(path),
                fix=AGAIN,
            )
        return cls(folder, manifest, shards)

    def logits(self, view: int = 0) -> Tensor:
        """Return the answers [N, C], float32, in the data set's order, each row's largest 0.

        Raises:
            UsageError: There is no such view.
            Corrupt: A shard changed since it was opened.
        """
        parts = list(self._decoded(view))
        if not parts:
            raise UsageError(
                f"there is no view {view}, only {self.manifest['views']} of them.",
                where=str(self.folder),
                fix="Views are numbered from 0.",
            )
        return torch.cat(parts)

    def _decoded(self, view: int) -> Iterator[Tensor]:
        keep, classes = self.keep, len(self.manifest["classes"])
        for shard in self.shards:
            if shard.view == view:
                yield keep.decode(self._shard(shard), classes)

    @property
    def keep(self) -> Keep:
        """What is kept of each answer."""
        return keep_of(self.manifest.get("keep"))

    @property
    def views(self) -> Views:
        """Which looks at the rows the answers are about."""
        held = self.manifest.get("augmentation")
        return PLAIN if held is None else Views.from_dict(held)

    def every(self, scratch: Path | None = None) -> Tensor:
        """Return the answers to all views, one after another [V × N, C], as `Views.all` has the
        rows. Errors as `logits`.

        Args:
            scratch: A folder; answers that are many are laid into a file there and mapped into
                memory, as fp16, a page when it is looked at. None: they are all read.
        """
        views = self.views.count
        rows, classes = views * self.manifest["count"], len(self.manifest["classes"])
        if scratch is None or 4 * rows * classes <= MAPPED_BYTES or self._wide:
            return torch.cat([self.logits(view) for view in range(views)])
        parts = (part for view in range(views) for part in self._decoded(view))
        return mapped(scratch / f"{self.fingerprint[:32]}.answers", parts, (rows, classes))

    def decided(self) -> Tensor | None:
        """Return the classes [V × N] that the teacher decides for, in the order of `every`; None
        where its answers say it.

        Raises:
            UsageError: The answers were sampled by a version that did not store the decisions.
            Corrupt: A shard changed since it was opened.
        """
        keep = self.keep
        if keep.as_dict() != self.manifest.get("keep"):
            raise stale(self.folder, "they were sampled without the teacher's decisions")
        parts = [keep.decided(self._shard(shard)) for shard in self.shards]
        told = [part for part in parts if part is not None]
        return torch.cat(told) if told else None

    def features(self, scratch: Path | None = None) -> dict[str, Tensor]:
        """Return the stored features by name, [V × N, …], in the order of `every`; many are mapped
        from files in `scratch`. Errors as `logits`.
        """
        return {name: self._feature(name, scratch) for name in self.manifest.get("features") or ()}

    def _feature(self, name: str, scratch: Path | None) -> Tensor:
        key, rows = PREFIX + name, self.views.count * self.manifest["count"]
        first = self._shard(self.shards[0])[key][0]
        if scratch is None or 4 * rows * first.numel() <= MAPPED_BYTES:
            return torch.cat([self._shard(shard)[key].float() for shard in self.shards])
        flat = (self._shard(shard)[key].flatten(1) for shard in self.shards)
        place = scratch / f"{self.fingerprint[:32]}.{sha256_bytes(name.encode())[:8]}.features"
        return mapped(place, flat, (rows, first.numel())).view(rows, *first.shape)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the manifest."""
        return sha256_bytes(dump_json(self.manifest))

    @property
    def _wide(self) -> bool:
        """Whether answers are stored as float32, as quantities are, so that fp16 would lose."""
        first = self._shard(self.shards[0]) if self.shards else {}
        return "logits" in first and first["logits"].dtype == torch.float32

    def _shard(self, shard: Shard) -> dict[str, Tensor]:
        path = self.folder / shard.file
        data = path.read_bytes() if path.is_file() else b""
        if sha256_bytes(data) != shard.sha256:
            why = "is not what was stored" if data else "is missing"
            raise Corrupt(f"the shard {why}.", where=str(path), fix=AGAIN)
        return parse_tensors(data, where=str(path))

    def _require_same(self, dataset: Dataset, rows: Tensor, teacher: str | None) -> None:
        held = self.manifest
        if teacher is not None and teacher != held["teacher"]:
            raise stale(
                self.folder,
                f"they are another teacher's ({held['teacher'][:8]}, now {teacher[:8]})",
            )
        if tuple(held["classes"]) != dataset.schema.outputs:
            same = sorted(held["classes"]) == sorted(dataset.schema.outputs)
            raise stale(
                self.folder,
                "the classes are in another order" if same else "the data have other classes",
            )
        if rows_digest(dataset.rows) != held["rows"]:
            raise stale(self.folder, how_rows_differ(rows, dataset.rows))
        if not torch.equal(rows, dataset.rows):
            raise Corrupt(
                "the shards hold answers to other rows than the manifest says.",
                where=str(self.folder),
                fix=AGAIN,
            )
        if dataset.fingerprint() != held["data"]:
            raise stale(
                self.folder, "the rows are the same, but their inputs, targets or schema changed"
            )

    def _ask_again(self, oracle: Oracle, dataset: Dataset) -> None:
        sentinels = self.manifest["sentinels"]
        if not sentinels:
            return
        held = torch.tensor([s["answer"] for s in sentinels])
        rows = torch.tensor([s["row"] for s in sentinels])
        parts = [
            task_of(part.schema).stored(ask(oracle, part, where="knowledge, sentinels"))
            for part in self._sentinel_rows(dataset)
        ]
        now = torch.cat(parts).float()
        if not close(now, held):
            raise stale(
                self.folder,
                how_answers_differ(now, held, rows),
            )

    def _sentinel_rows(self, dataset: Dataset) -> Iterator[Dataset]:
        """Yield each view's sentinel rows; changed views are drawn again from their seed."""
        for view in range(self.views.count):
            places = [s["at"] for s in self.manifest["sentinels"] if s.get("view", 0) == view]
            if view == 0:
                yield dataset.take(torch.tensor(places))
            elif places:
                yield self.views.look(dataset, view, 0, max(places) + 1).take(torch.tensor(places))


def _follow(shards: tuple[Shard, ...], views: int, count: int) -> bool:
    """Whether the shards are those of all rows of all views, in their order."""
    at = 0
    for shard in shards:
        fits = 0 < shard.rows <= count - shard.start
        if not fits or shard.view * count + shard.start != at:
            return False
        at += shard.rows
    return at == views * count


def reopen(files: StepFiles, dataset: Dataset) -> Knowledge:
    """Return what the step `knowledge` stored, asked about its sentinels again.

    Errors as `Knowledge.open`.
    """
    about = files.read_json("teacher/teacher.json")
    return Knowledge.open(
        files.path(FOLDER), dataset, recall(files, dataset.schema), teacher=about["fingerprint"]
    )
