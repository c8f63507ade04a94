"""Bytes of a version, checked by hash before anybody sees them, and kept by hash so that a second
reading asks nobody.
"""

from dataclasses import dataclass

from stillhouse.errors import Corrupt
from stillhouse.release import manifest
from stillhouse.release.ledger import Effective
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace, sha256_bytes

CACHE = ".stillhouse/registry"


@dataclass(frozen=True)
class Fetch:
    """A reader of stored files.

    Attributes:
        registry: Whose files.
        workspace: Keeps what was read under `.stillhouse/registry/`, by sha256.
    """

    registry: Registry
    workspace: Workspace

    def by_hash(self, uri: str, expected: str) -> bytes:
        """Return the bytes that have a hash, from the cache or from the store.

        Args:
            uri: Where the store has them.
            expected: Their sha256.

        Raises:
            Corrupt: The store's bytes have another hash.
        """
        kept = self.workspace.root / CACHE / expected
        if kept.is_file():
            data = kept.read_bytes()
            if sha256_bytes(data) == expected:  # a damaged copy of ours is fetched anew
                return data
        data = self.registry.download(uri)
        manifest.check(uri.rpartition("/")[2], data, expected, where=uri)
        self.workspace.write_bytes(f"{CACHE}/{expected}", data)
        return data

    def file(self, storage: str, bound: str, name: str) -> bytes:
        """Return one file of a version, checked against the manifest that it is bound to.

        Args:
            storage: The URI of the version's files.
            bound: The manifest's sha256, from the ledger or the version.
            name: As in the manifest.

        Raises:
            Corrupt: The manifest or the file has other bytes, or the manifest does not name it.
        """
        entries = self.manifest(storage, bound)
        if name not in entries:
            raise Corrupt(
                f"the manifest names no '{name}'.", where=storage, fix="Register the student again."
            )
        return self.by_hash(f"{storage}/{name}", entries[name])

    def manifest(self, storage: str, bound: str) -> dict[str, str]:
        """Return the manifest of a version. Errors as `file`."""
        return manifest.read(
            self.by_hash(f"{storage}/{manifest.NAME}", bound), bound, where=storage
        )

    def verify(self, storage: str, bound: str, fingerprint: str) -> dict[str, str]:
        """Read every file of a version from the store, never from the cache, and check it; return
        the manifest.

        Raises:
            Corrupt: A file differs from the manifest, or the clock-free ones from the fingerprint.
        """
        entries = manifest.read(
            self.registry.download(f"{storage}/{manifest.NAME}"), bound, where=storage
        )
        for name, expected in entries.items():
            manifest.check(
                name,
                self.registry.download(f"{storage}/{name}"),
                expected,
                where=f"{storage}/{name}",
            )
        check_fingerprint(entries, fingerprint, where=storage)
        return entries


def check_fingerprint(entries: dict[str, str], fingerprint: str, *, where: str) -> None:
    """Refuse a manifest whose clock-free files are not those of the fingerprint.

    Raises:
        Corrupt: They are others, or one is missing.
    """
    if _fingerprint(entries, where) != fingerprint:
        raise Corrupt(
            "the files are not those of the version's fingerprint.",
            where=where,
            fix="Do not use this version; register the student again.",
        )


def fingerprint_of(registry: Registry, effective: Effective) -> str:
    """Return the fingerprint of a champion, from the manifest that its ledger entry is bound to:
    tags can be changed, that cannot.

    Raises:
        Corrupt: The manifest in the store is another one.
    """
    storage = registry.entry_storage(effective.entry.number).rstrip("/")
    entries = Fetch(registry, Workspace(registry.place.root)).manifest(
        storage, effective.link.manifest
    )
    return _fingerprint(entries, storage)


def _fingerprint(entries: dict[str, str], where: str) -> str:
    named = {**entries, "student.onnx": entries.get("model.onnx", "")}
    missing = [name for name in manifest.FINGERPRINTED if not named.get(name)]
    if missing:
        raise Corrupt(
            f"the manifest names no '{missing[0]}'.", where=where, fix="Register the student again."
        )
    return manifest.fingerprint(named)
