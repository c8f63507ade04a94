"""MLflow's model registry, as far as a release needs it: versions by fingerprint, the ledger's
entries, aliases, bytes.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stillhouse.environment import HIDDEN, Place
from stillhouse.errors import ServerUnreachable, SettingsError
from stillhouse.failpoints import failpoint
from stillhouse.release import ledger
from stillhouse.release.ledger import Entry
from stillhouse.tracking.client import Exists, Missing, call, client, read
from stillhouse.tracking.storable import storable, storable_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

FINGERPRINT, MANIFEST, EVIDENCE, OVER = (
    "stillhouse.fingerprint",
    "stillhouse.manifest",
    "stillhouse.evidence",
    "stillhouse.over",
)
BY, WHY = "stillhouse.by", "stillhouse.why"  # of ledger entries, for people
MODEL_ID, DUPLICATE, BLESSED = (
    "stillhouse.model_id",
    "stillhouse.duplicate-of",
    "stillhouse.blessed",
)
PAGE = 200  # versions in one answer
ALIASES = ("champion", "challenger", "previous")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Version:
    """A registered version of the model.

    Attributes:
        number: MLflow's.
        fingerprint: Of its clock-free files; empty if somebody else registered it.
        manifest: sha256 of its manifest.
        evidence: sha256 of the verdict that it was registered with.
        over: sha256 of the champion.json that this verdict compared with.
        model_id: MLflow's logged model that holds its files.
        run_id: The retrain that made it.
        duplicate_of: A lower version with the same fingerprint, or None.
        blessed: The manifest's sha256 that its check held for; empty before.
    """

    number: int
    fingerprint: str = ""
    manifest: str = ""
    evidence: str = ledger.NOTHING
    over: str = ledger.NOTHING
    model_id: str = ""
    run_id: str = ""
    duplicate_of: int | None = None
    blessed: str = ""


def check_name(model: str) -> str:
    """Return the model's name if MLflow, a file system and a command line all take it.

    Raises:
        SettingsError: It has other characters than letters, digits, `.`, `_`, `-`, or ends like a
            ledger.
    """
    if _NAME.fullmatch(model) is None or model.endswith(ledger.SUFFIX):
        raise SettingsError(
            f"'{model}' cannot be a model's name.",
            where="params.yaml: model",
            fix="Use letters, digits, '.', '_' and '-', at most 200, not ending with "
            f"'{ledger.SUFFIX}'.",
        )
    return model


@dataclass
class Registry:
    """One model in one MLflow.

    Attributes:
        place: Where MLflow is.
        model: The registered model's name.
    """

    place: Place
    model: str
    _mlflow: "MlflowClient" = field(repr=False, kw_only=True)

    @classmethod
    def open(cls, place: Place, model: str) -> "Registry":
        """Return the registry of a model.

        Raises:
            SettingsError: The name cannot be a model's.
            ServerUnreachable: MLflow cannot be opened.
        """
        return cls(place, check_name(model), _mlflow=client(place))

    @property
    def mlflow(self) -> "MlflowClient":
        """MLflow's client, for the upload."""
        return self._mlflow

    def ask(self, question: Callable[[], T]) -> T:
        """Return what MLflow answers. Errors as `tracking.client.call`."""
        return call(question, self.place)

    def read(self, question: Callable[[], T]) -> T:
        """Return what MLflow answers to a question that changes nothing, asked again for some
        seconds. Errors as `tracking.client.read`.
        """
        return read(question, self.place)

    # --- versions --------------------------------------------------------------------------------

    def versions(self, fingerprint: str | None = None) -> list[Version]:
        """Return the model's versions by number, or those with a fingerprint; none if there is no
        such model.
        """
        condition = f" and tags.`{FINGERPRINT}` = '{fingerprint}'" if fingerprint else ""
        return [_version(found) for found in self._search(self.model, condition)]

    def version(self, number: int) -> Version:
        """Return one version.

        Raises:
            Missing: There is none of that number.
        """
        return _version(self.read(lambda: self._mlflow.get_model_version(self.model, str(number))))

    def create_version(self, source: str, run_id: str, tags: Mapping[str, str]) -> None:
        """Create a version with its tags in one call.

        After any error, look it up by its fingerprint: it may be there.
        """
        self._create_model(self.model)
        self.ask(
            lambda: self._mlflow.create_model_version(
                self.model,
                source,
                run_id or None,
                dict(tags),
                await_creation_for=0,
                model_id=tags.get(MODEL_ID),
            )
        )

    def tag_version(self, number: int, name: str, value: str) -> None:
        """Put a tag on a version, for people."""
        self.ask(lambda: self._mlflow.set_model_version_tag(self.model, str(number), name, value))

    def storage(self, number: int) -> str:
        """Return the URI of a version's files."""
        return str(
            self.read(lambda: self._mlflow.get_model_version_download_uri(self.model, str(number)))
        )

    # --- ledger ----------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Return all ledger entries by number; none if nothing was promoted yet."""
        found = self._search(self.model + ledger.SUFFIX)
        return [
            Entry(
                int(e.version),
                str(e.source),
                str(e.run_link or ""),
                dict(e.tags),
                int(e.creation_timestamp or 0),
            )
            for e in found
        ]

    def state(self) -> ledger.State:
        """Return what the ledger says now."""
        return ledger.fold(self.entries(), self.model)

    def append(self, move: ledger.Append, tags: Mapping[str, str]) -> None:
        """Write one ledger entry by one call.

        After any error, read the ledger: the entry may be there, once or twice.

        Raises:
            Missing: The target version does not exist.
        """
        name = self.model + ledger.SUFFIX
        self._create_model(name)
        failpoint("release.before_append")
        self.ask(
            lambda: self._mlflow.create_model_version(
                name,
                move.source,
                tags={storable_name(key): storable(value) for key, value in tags.items()},
                run_link=move.run_link,
                await_creation_for=0,
            )
        )
        failpoint("release.after_append")

    def tag_ledger(self, name: str, value: str) -> None:
        """Put a tag on the ledger as a whole, for people; there has to be one."""
        self._create_model(self.model + ledger.SUFFIX)
        self.ask(
            lambda: self._mlflow.set_registered_model_tag(self.model + ledger.SUFFIX, name, value)
        )

    def entry_storage(self, number: int) -> str:
        """Return the URI of the files of an entry's target; it holds even when the target version
        was deleted.
        """
        return str(
            self.read(
                lambda: self._mlflow.get_model_version_download_uri(
                    self.model + ledger.SUFFIX, str(number)
                )
            )
        )

    # --- aliases ---------------------------------------------------------------------------------

    def aliases(self) -> dict[str, int]:
        """Return alias → version. SQL stores answer with numbers, servers with text."""
        try:
            found = self.read(lambda: self._mlflow.get_registered_model(self.model))
        except Missing:
            return {}
        return {
            name: int(number) for name, number in dict(found.aliases).items() if name in ALIASES
        }

    def set_alias(self, alias: str, version: int | None) -> None:
        """Point an alias at a version, or take it away; `champion` is never taken away."""
        failpoint("release.before_alias")
        if version is None:
            with contextlib.suppress(Missing):  # somebody else was faster
                self.ask(lambda: self._mlflow.delete_registered_model_alias(self.model, alias))
        else:
            self.ask(
                lambda: self._mlflow.set_registered_model_alias(self.model, alias, str(version))
            )
        failpoint("release.after_alias")

    # --- bytes -----------------------------------------------------------------------------------

    def download(self, uri: str) -> bytes:
        """Return the bytes of one stored file; nobody has checked them yet.

        Raises:
            Missing: There is no such file.
            ServerUnreachable: The store does not answer.
        """
        from mlflow.artifacts import download_artifacts

        scratch = self.place.root / HIDDEN / "tmp"
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            try:
                path = self.read(
                    lambda: download_artifacts(
                        artifact_uri=uri, dst_path=folder, tracking_uri=self.place.tracking_uri
                    )
                )
                return Path(path).read_bytes()
            except FileNotFoundError:
                raise Missing(
                    f"there is no '{uri.rpartition('/')[2]}' in the store.",
                    where=uri,
                    fix="Register the student again.",
                ) from None
            except OSError as error:
                raise ServerUnreachable(
                    f"the artifact store does not answer: {error}",
                    where=uri,
                    fix="Check the store.",
                ) from None

    # --- inside ----------------------------------------------------------------------------------

    def _search(self, name: str, condition: str = "") -> list[Any]:
        """Return all pages of a model's versions, by number."""
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self.read(
                lambda token=token: self._mlflow.search_model_versions(  # type: ignore[misc]
                    f"name = '{name}'{condition}",
                    max_results=PAGE,
                    order_by=["version_number ASC"],
                    page_token=token,
                )
            )
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))

    def _create_model(self, name: str) -> None:
        try:
            self.read(lambda: self._mlflow.get_registered_model(name))
        except Missing:
            try:
                failpoint("release.before_model")
                self.ask(lambda: self._mlflow.create_registered_model(name))
                failpoint("release.after_model")
            except Exists:  # somebody else was faster
                return


def _version(found: Any) -> Version:
    tags = dict(found.tags)
    duplicate = tags.get(DUPLICATE, "")
    return Version(
        number=int(found.version),
        fingerprint=tags.get(FINGERPRINT, ""),
        manifest=tags.get(MANIFEST, ""),
        evidence=tags.get(EVIDENCE, ledger.NOTHING),
        over=tags.get(OVER, ledger.NOTHING),
        model_id=tags.get(MODEL_ID, ""),
        run_id=str(found.run_id or ""),
        duplicate_of=int(duplicate) if duplicate.isdigit() else None,
        blessed=tags.get(BLESSED, ""),
    )
