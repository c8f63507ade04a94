"""A version in MLflow's registry, read file by file: MLflow's own loaders are never used, so that
nothing is unpickled and no code of the model runs.
"""

import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from stillhouse.environment import HIDDEN, Place
from stillhouse.errors import ServerUnreachable, SettingsError, SourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
URI = re.compile(r"models:/([^/@]+)(?:/([0-9]+)|@([^/@]+))")
DESCRIBED = "MLmodel"


@dataclass(frozen=True)
class Name:
    """What a URI names.

    Attributes:
        uri: As it was written.
        model: The registered model.
        number: Of the version; None where an alias says which.
        alias: Of the version; None where the number says it.
    """

    uri: str
    model: str
    number: str | None
    alias: str | None

    @classmethod
    def parse(cls, uri: str) -> "Name":
        """Return what `models:/name/3` or `models:/name@alias` names.

        Raises:
            SettingsError: It names no version.
        """
        found = URI.fullmatch(uri)
        if found is None:
            raise SettingsError(
                f"'{uri}' names no registered model.",
                where="teacher.uri",
                fix="Write models:/name/3 or models:/name@alias.",
            )
        return cls(uri, *found.groups())


@dataclass(frozen=True)
class Registered:
    """A version that was found.

    Attributes:
        name: The URI behind it.
        version: Its number.
        base: Where its files lie.
        place: The workspace that asks.
    """

    name: Name
    version: int
    base: str
    place: Place

    @classmethod
    def find(cls, place: Place, name: Name) -> "Registered":
        """Return the version that a name stands for now.

        Raises:
            SourceError: MLflow has no such version.
            ServerUnreachable: It does not answer.
        """
        client = _client(place)
        version = _ask(
            lambda: (
                client.get_model_version(name.model, name.number)
                if name.number
                else client.get_model_version_by_alias(name.model, str(name.alias))
            ),
            name.uri,
        )
        base = _ask(
            lambda: client.get_model_version_download_uri(version.name, version.version), name.uri
        )
        return cls(name, int(version.version), str(base), place)

    def files(self, path: str) -> dict[str, bytes]:
        """Return a file, or all files of a folder, by their names below it (a file's is its own).

        Raises:
            ServerUnreachable: They cannot be read.
        """
        from mlflow.artifacts import download_artifacts

        scratch = self.place.root / HIDDEN / "tmp"
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            found = Path(
                _ask(
                    lambda: download_artifacts(
                        artifact_uri=f"{self.base}/{path}",
                        dst_path=folder,
                        tracking_uri=self.place.tracking_uri,
                    ),
                    self.name.uri,
                )
            )
            if found.is_file():
                return {found.name: found.read_bytes()}
            return {
                each.relative_to(found).as_posix(): each.read_bytes()
                for each in sorted(found.rglob("*"))
                if each.is_file()
            }

    def file(self, path: str) -> bytes:
        """Return one file. Errors as `files`."""
        return next(iter(self.files(path).values()))

    def flavors(self) -> dict[str, Mapping[str, Any]]:
        """Return what its MLmodel says of each way to load it.

        Raises:
            SourceError: It cannot be read.
        """
        return flavors(self.file(DESCRIBED), self.name.uri)


def flavors(described: bytes, uri: str) -> dict[str, Mapping[str, Any]]:
    """Return an MLmodel's flavours by name.

    Raises:
        SourceError: It is no YAML mapping with flavours.
    """
    try:
        held = dict(yaml.safe_load(described)["flavors"])
        return {str(name): dict(value or {}) for name, value in held.items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise SourceError(
            "its MLmodel cannot be read.", where=uri, fix="Register the model again."
        ) from None


def inside(path: object, uri: str) -> str:
    """Return a path that an MLmodel names, if it stays in the model's folder.

    Raises:
        SourceError: It leads elsewhere, or there is none.
    """
    found = PurePosixPath(str(path or ""))
    if not found.parts or found.is_absolute() or ".." in found.parts:
        raise SourceError(
            f"its MLmodel names the file '{found}'.", where=uri, fix="Register the model again."
        )
    return str(found)


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
                f"MLflow has no such model: {said}",
                where=where,
                fix="Look at the URI, and at MLFLOW_TRACKING_URI: without it the project's own "
                "MLflow is asked.",
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
