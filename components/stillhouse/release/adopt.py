"""Take in the champion of a registry that is older than its ledger: it is stored once more as
Stillhouse stores models, checked like any other, and becomes the ledger's first entry.

No gate judged it: it is champion because it is. From then on a student has to beat it.
"""

import re
from typing import TYPE_CHECKING, Any

from stillhouse.data.schema import Schema
from stillhouse.edge.session import Session
from stillhouse.errors import DataError, Refused, StillhouseError
from stillhouse.models import onnx_file
from stillhouse.release.candidate import CHAMPION, VERDICT, Candidate
from stillhouse.release.registry import Registry
from stillhouse.workspace import dump_json, sha256_bytes

if TYPE_CHECKING:
    from torch import Tensor

_ONNX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
HOW = (
    "Log it as ONNX in one file: mlflow.onnx.log_model(…, save_as_external_data=False), and "
    "register that."
)


def foreign(registry: Registry, number: int, schema: Schema, example: "Tensor") -> Candidate:
    """Return a version that somebody else registered as what Stillhouse stores, without a word of a
    gate.

    Args:
        registry: The model.
        number: The version.
        schema: Of the rows that it has to answer.
        example: One row of inputs [1, *shape] in data space.

    Raises:
        Missing: There is no such version.
        DataError: It is not ONNX in one file, or does not answer such a row by a number a class.
    """
    where = f"{registry.model} version {number}"
    registry.version(number)
    storage = registry.storage(number).rstrip("/")
    data = registry.download(f"{storage}/{_name(registry, storage, where)}")
    onnx_file.read(data, where)
    answer = _answer(data, schema, example, where)
    verdict = {
        "verdict": "adopted",
        "version": number,
        "student.onnx": sha256_bytes(data),
        "why": "It was champion before there was a ledger; no gate judged it.",
    }
    files = {
        "student.onnx": data,
        "student.int8.onnx": b"",  # it came without these two
        "student.safetensors": b"",
        "schema.json": dump_json(schema.as_dict()),
        VERDICT: dump_json(verdict),
        CHAMPION: b"null\n",
    }
    return Candidate(files, example, answer)


def _name(registry: Registry, storage: str, where: str) -> str:
    """Return the ONNX file that a version's MLmodel names."""
    import yaml

    try:
        told: Any = yaml.safe_load(registry.download(f"{storage}/MLmodel"))
        name = told["flavors"]["onnx"]["data"]
    except (yaml.YAMLError, KeyError, TypeError):
        raise DataError(
            "it is no ONNX model, and nothing else can be taken in.", where=where, fix=HOW
        ) from None
    if not isinstance(name, str) or _ONNX.fullmatch(name) is None:
        raise DataError(f"its ONNX file has the name {name!r}.", where=where, fix=HOW)
    return name


def _answer(data: bytes, schema: Schema, example: "Tensor", where: str) -> "Tensor":
    try:
        found = Session(data, where=where).ask(example)
    except StillhouseError:
        raise
    except Exception as error:  # onnxruntime's errors have no common class but this
        raise DataError(
            f"it does not answer a row of shape {list(schema.shape)}: "
            f"{str(error).splitlines()[0][:200]}",
            where=where,
            fix="Adopt a model of the data that params.yaml names.",
        ) from None
    names, each = (schema.labels, "label") if schema.labels else (schema.classes, "class")
    if tuple(found.shape) != (1, len(names)) or not bool(found.isfinite().all()):
        raise DataError(
            f"it answers a row by {list(found.shape[1:])} values, some perhaps not finite; the "
            f"data has {len(names)} {'labels' if schema.labels else 'classes'}.",
            where=where,
            fix=f"Adopt a model that gives a finite number a {each}.",
        )
    return found


def refuse_second(registry: Registry, champion: int | None) -> None:
    """Refuse a stranger where the ledger has a champion already.

    Raises:
        Refused: It has one.
    """
    if champion is not None:
        raise Refused(
            f"the ledger has a champion already, version {champion}; a model that no gate judged "
            "cannot replace it.",
            where=registry.model,
            fix="Let `stillhouse run` make a student that beats it, or promote a version that "
            "Stillhouse registered.",
        )
