"""The champion for those who use it: for the gate, which compares with it, and for `predict`, which
asks it. Every byte is checked by hash.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.data.schema import Schema
from stillhouse.errors import Corrupt, Refused
from stillhouse.release import artifact
from stillhouse.release.fetch import Fetch, fingerprint_of
from stillhouse.release.ledger import NOTHING, Effective, State
from stillhouse.release.memory import read
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace, dump_json

NONE = b"null\n"
STATISTICS, SCHEMA, RECEIPT = "statistics.json", "schema.json", "receipt.json"
TEST_ROWS = "test_rows.json"  # keys of the rows that it was judged on


@dataclass(frozen=True)
class Champion:
    """The model in production.

    Attributes:
        version: Its number.
        head: The ledger entry that made it champion.
        onnx: Its bytes.
        schema: What its rows look like.
        receipt: What its run wrote down, settings and threshold among it.
    """

    version: int
    head: int
    onnx: bytes
    schema: Schema
    receipt: Mapping[str, Any]


def champion_files(registry: Registry, student: str | None) -> tuple[bytes, bytes]:
    """Return what the gate compares with: the bytes of champion.json and champion.onnx.

    If the student is the champion already, they are those that the champion was once compared with,
    so that promoting it has made nothing stale. Otherwise they tell the champion as it is now.

    Args:
        registry: The model.
        student: The fingerprint of the student in the workspace, or None.

    Returns:
        champion.json, `null` where there is none; and the ONNX, empty where there is none. The same
        ledger gives the same bytes.

    Raises:
        Corrupt: Something in the store has other bytes than the ledger recorded, or the ledger went
            back.
    """
    state = read(registry)
    if state.last is None:
        return NONE, b""
    if (
        student is not None
        and state.last.link.over != NOTHING
        and fingerprint_of(registry, state.last) == student
    ):
        told = _fetch(registry).by_hash(
            f"{_storage(registry, state.last)}/evidence/{state.last.link.over}",
            state.last.link.over,
        )
        return told, _onnx_of(registry, state, told)
    return _tell(registry, state.last), _file(registry, state.last, artifact.MODEL)


def champion_model(registry: Registry) -> Champion:
    """Return the champion, ready to be asked.

    Raises:
        Refused: Nothing was promoted yet.
        Corrupt: Its bytes are not those that were promoted, or the ledger went back.
    """
    state = read(registry)
    if state.last is None:
        raise Refused(
            "there is no champion yet.", where=registry.model, fix="`stillhouse run` makes one."
        )
    last = state.last
    schema, receipt = (json.loads(_file(registry, last, name)) for name in (SCHEMA, RECEIPT))
    onnx = _file(registry, last, artifact.MODEL)
    return Champion(last.target, state.head, onnx, Schema.from_dict(schema), receipt)


def judged_against(registry: Registry, version: int) -> tuple[bytes, bytes]:
    """Return what a version's own gate compared it with: the bytes of champion.json and
    champion.onnx as they were then.

    Raises:
        Missing: There is no such version.
        Corrupt: The store has other bytes than were registered.
    """
    found = registry.version(version)
    storage = registry.storage(version).rstrip("/")
    told = _fetch(registry).by_hash(f"{storage}/evidence/{found.over}", found.over)
    return told, _onnx_of(registry, registry.state(), told)


def stored_file(registry: Registry, version: int, name: str) -> bytes:
    """Return a file of a registered version, such as `receipt.json`, checked by its manifest.

    Raises:
        Missing: There is no such version.
        Corrupt: Its bytes are not those that were registered.
    """
    found = registry.version(version)
    return _fetch(registry).file(registry.storage(version).rstrip("/"), found.manifest, name)


def _tell(registry: Registry, last: Effective) -> bytes:
    storage = _storage(registry, last)
    told: dict[str, Any] = {
        "head": last.entry.number,
        "version": last.target,
        "fingerprint": fingerprint_of(registry, last),
        "manifest": last.link.manifest,
    }
    told["schema"] = json.loads(_file(registry, last, SCHEMA))
    there = _fetch(registry).manifest(storage, last.link.manifest)
    for name, file in (("statistics", STATISTICS), ("test_rows", TEST_ROWS)):
        if file in there:
            told[name] = json.loads(_file(registry, last, file))
    return dump_json(told)


def _onnx_of(registry: Registry, state: State, told: bytes) -> bytes:
    """Return the ONNX of the champion that a stored champion.json tells of."""
    then = json.loads(told)
    if then is None:
        return b""
    made = [
        e
        for e in state.effective
        if e.entry.number == then["head"] and e.link.manifest == then["manifest"]
    ]
    if not made:
        raise Corrupt(
            f"the evidence names head {then['head']}, which the ledger does not have.",
            where=registry.model,
            fix="Restore MLflow's database.",
        )
    return _file(registry, made[0], artifact.MODEL)


def _file(registry: Registry, effective: Effective, name: str) -> bytes:
    return _fetch(registry).file(_storage(registry, effective), effective.link.manifest, name)


def _storage(registry: Registry, effective: Effective) -> str:
    return registry.entry_storage(effective.entry.number).rstrip("/")


def _fetch(registry: Registry) -> Fetch:
    return Fetch(registry, Workspace(registry.place.root))
