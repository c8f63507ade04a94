"""A teacher from MLflow's registry, by `models:/…`, if its flavour needs no pickle."""

import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml

from stillhouse import environment
from stillhouse.config import Positive
from stillhouse.data.schema import Schema
from stillhouse.environment import HIDDEN, Place
from stillhouse.errors import ServerUnreachable, SettingsError, SourceError
from stillhouse.teachers.onnx import Onnx
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")
URI = re.compile(r"models:/([^/@]+)(?:/([0-9]+)|@([^/@]+))")
ORIGIN = "mlflow.json"
FIX = "Log it with mlflow.onnx.log_model, or export it and use the teacher `onnx`."


class Mlflow(Teacher):
    """Takes the ONNX file of a registered version; MLflow's own loaders are not used, so that
    nothing is unpickled and no code of the model runs.

    An alias is looked up when the step `teacher` runs: moving it later makes nothing stale. Name a
    version where that matters.

    Args:
        uri: `models:/credit/3` or `models:/credit@champion`, in the MLflow of this project
            (MLFLOW_TRACKING_URI).
        output: What it answers; `auto` looks at its answers to some val rows.
        classes: Class names by column of its output; empty: the data's order.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature.
        std: What it was trained to have its rows divided by then, likewise.
    """

    def __init__(
        self,
        *,
        uri: str,
        output: Literal["logits", "probabilities", "auto"] = "auto",
        classes: tuple[str, ...] = (),
        mean: tuple[float, ...] = (),
        std: tuple[Positive, ...] = (),
    ) -> None:
        found = URI.fullmatch(uri)
        if found is None:
            raise SettingsError(
                f"'{uri}' names no registered model.",
                where="teacher.uri",
                fix="Write models:/name/3 or models:/name@alias.",
            )
        self.uri, (self._name, self._number, self._alias) = uri, found.groups()
        self._onnx = Onnx(path=uri, output=output, classes=classes, mean=mean, std=std)

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        place = environment.place(lesson.root)
        found, version = _fetch(place, self._name, self._number, self._alias, self.uri)
        origin = {"name": self._name, "version": version, "uri": self.uri}
        return {**self._onnx.take(found, lesson, where=self.uri), ORIGIN: dump_json(origin)}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        return self._onnx.recall(files, schema)


def _fetch(
    place: Place, name: str, number: str | None, alias: str | None, uri: str
) -> tuple[bytes, int]:
    """Return a version's ONNX file, and the version's number."""
    client = _client(place)
    version = _ask(
        lambda: (
            client.get_model_version(name, number)
            if number
            else client.get_model_version_by_alias(name, str(alias))
        ),
        uri,
    )
    return _file(place, client, version, uri), int(version.version)


def _file(place: Place, client: "MlflowClient", version: "ModelVersion", uri: str) -> bytes:
    from mlflow.artifacts import download_artifacts

    base = _ask(lambda: client.get_model_version_download_uri(version.name, version.version), uri)
    scratch = place.root / HIDDEN / "tmp"
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:

        def fetch(name: str) -> bytes:
            path = _ask(
                lambda: download_artifacts(
                    artifact_uri=f"{base}/{name}", dst_path=folder, tracking_uri=place.tracking_uri
                ),
                uri,
            )
            return Path(path).read_bytes()

        return fetch(_onnx_path(fetch("MLmodel"), uri))


def _onnx_path(described: bytes, uri: str) -> str:
    """Return where the ONNX file lies beside an MLmodel file.

    Raises:
        SourceError: The model has no such flavour, or its path leads elsewhere.
    """
    try:
        held = yaml.safe_load(described)
        flavors: Mapping[str, Any] = held["flavors"]
        names = sorted(flavors)
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise SourceError("its MLmodel cannot be read.", where=uri, fix=FIX) from None
    if "onnx" not in flavors:
        raise SourceError(
            f"its flavours are {', '.join(map(str, names))}; of those only pickles can be loaded, "
            "and nothing is ever unpickled.",
            where=uri,
            fix=FIX,
        )
    path = PurePosixPath(str(flavors["onnx"].get("data", "")))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise SourceError(f"its MLmodel names the file '{path}'.", where=uri, fix=FIX)
    return str(path)


def _client(place: Place) -> "MlflowClient":
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # after the import, which sets them itself
        logging.getLogger(name).setLevel(logging.ERROR)
    return _ask(
        lambda: MlflowClient(tracking_uri=place.tracking_uri, registry_uri=place.tracking_uri),
        "teacher.uri",
    )


def _ask(question: Callable[[], T], where: str) -> T:
    """Return MLflow's answer; what it refuses and what does not reach it are different errors."""
    from mlflow.exceptions import MlflowException

    try:
        return question()
    except MlflowException as error:
        said = str(error).splitlines()[0][:200]
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise SourceError(
                f"MLflow has no such model: {said}", where=where, fix="Look at the URI."
            ) from None
        raise ServerUnreachable(
            f"MLflow does not answer: {said}", where=where, fix="Try again when it does."
        ) from None
    except (OSError, ValueError) as error:
        raise ServerUnreachable(
            f"the model's files cannot be read: {type(error).__name__}.",
            where=where,
            fix="Look at MLflow's artifact store.",
        ) from None
