"""Objects in a store of somebody else's, through fsspec: patient where a store is busy or away, and
clear where it refuses.

No message repeats a library's words: they may hold an address with a password in it.
"""

import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import STORES
from stillhouse.errors import ServerUnreachable, SettingsError, StillhouseError, UsageError

T = TypeVar("T")
WHERE = "STILLHOUSE_KNOWLEDGE"
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between tries; a throttled store asks for no less
SECONDS = 10  # until a connection or the next byte of an answer is there
# what no waiting mends: a name or a request that the store cannot mean
HOPELESS = {errno.EINVAL, errno.EPERM, errno.ENAMETOOLONG, errno.ENOSYS, errno.EISDIR}


@dataclass(frozen=True)
class Manner:
    """How a kind of store is spoken to.

    Attributes:
        credentials: Where its tools look for them.
        endpoint: What says which host it is.
        pauses: Between our tries, in seconds; none where its library tries again by itself and
            cannot be told not to.
        options: For its library.
        logger: Its library's, which would print each failure once more, with the store's words.
    """

    credentials: str
    endpoint: str
    pauses: tuple[float, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    logger: str = "fsspec"


S3 = Manner(
    "AWS_PROFILE, AWS_ACCESS_KEY_ID, …",
    "AWS_ENDPOINT_URL",
    PAUSES,
    {
        "config_kwargs": {  # what keeps a store that is away from holding a run up for minutes
            "connect_timeout": SECONDS,
            "read_timeout": SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": 2},
        }
    },
)
GS = Manner(
    "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`",
    "STORAGE_EMULATOR_HOST",
    logger="gcsfs",
)
AZ = Manner(
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    logger="azure",
)
MANNERS = {"s3": S3, "gs": GS, "az": AZ}
OTHER = Manner("its library's documentation says where", "its library's own", PAUSES)


class Objects:
    """A prefix in a bucket.

    Args:
        url: `scheme://bucket/prefix`, without credentials: the library finds those where its users
            keep them.
        clock: For the pauses.

    Raises:
        SettingsError: No library for such a URL is installed.
    """

    def __init__(self, url: str, clock: Clock = SYSTEM) -> None:
        self.url, self.clock = url.rstrip("/"), clock
        self.manner = MANNERS.get(url.partition("://")[0], OTHER)
        self._files = _filesystem(self.url, self.manner)

    def names(self, folder: str) -> list[str]:
        def listed() -> list[str]:
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)

        return self._patient(listed, "list")

    def read(self, name: str) -> bytes:
        def told() -> bytes:
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return b""

        return self._patient(told, "read")

    def write(self, name: str, data: bytes) -> None:
        self._patient(lambda: self._files.pipe_file(self._path(name), data), "write")

    def create(self, name: str, data: bytes) -> None:
        def created() -> None:
            try:
                self._files.pipe_file(self._path(name), data, mode="create")
            except Exception as error:
                if not _is_taken(error):
                    raise

        self._patient(created, "write")

    def _path(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _patient(self, act: Callable[[], T], doing: str) -> T:
        """Return what an act returns, tried again while the store is busy or does not answer."""
        for pause in (*self.manner.pauses, None):
            try:
                return act()
            except Exception as error:
                refusal = _refusal(error, self.url, doing, self.manner)
                if refusal is None:
                    raise
                if pause is None or not refusal.may_pass:
                    raise refusal from None
                self.clock.sleep(pause)
        raise AssertionError  # the last try returned or raised


def _filesystem(url: str, manner: Manner) -> Any:
    scheme = url.partition("://")[0]
    logging.getLogger(manner.logger).setLevel(logging.CRITICAL)
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(scheme)
    except ImportError:
        package = STORES.get(scheme, ("", "the library that fsspec names for it"))[1]
        raise SettingsError(
            f"what speaks to {scheme}:// is not installed.",
            where=WHERE,
            fix=f"Install it: {package}.",
        ) from None
    except ValueError:
        raise SettingsError(
            f"nothing speaks {scheme}://.",
            where=WHERE,
            fix="Give a folder, s3://bucket/prefix, or gs://… or az://… with their libraries.",
        ) from None
    try:
        # two clients of one process share no listing, and one that was closed is not handed out
        found = kind(skip_instance_cache=True, **manner.options)
    except Exception as error:  # adlfs has but a ValueError for credentials that are missing
        raise _refusal(error, url, "connect", manner) or _unsaid(url, "connect", manner) from None
    found.retries = 1  # s3fs's own, on top of the client's: the patience is ours
    return found


def _code(error: BaseException) -> str:
    """Return the store's own word for an error, such as SlowDown, else the error's class."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        said = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
        code = str(said or getattr(found, "error_code", None) or "")  # S3, Azure
        if code.isalnum():
            return code
    return type(error).__name__


def _status(error: BaseException) -> int:
    """Return the HTTP status that an error of a store's stands for; 0 where it does not say."""
    if type(error) is OSError and str(error).startswith("Forbidden:"):  # gcsfs, of a 403
        return 403
    said = getattr(error, "status_code", None) or getattr(error, "code", None)
    return said if isinstance(said, int) else 0


def _is_taken(error: BaseException) -> bool:
    """Whether an object was there already, or is being made by another this moment."""
    return isinstance(error, FileExistsError) or _code(error) in {
        "PreconditionFailed",
        "412",
        "ConditionalRequestConflict",
        "409",
    }


def _refusal(error: Exception, url: str, doing: str, manner: Manner) -> StillhouseError | None:
    """Return our error for a store's; None where it is a mistake of the program."""
    code, kind, status = _code(error), type(error), _status(error)
    unknown = any(word in kind.__name__ for word in ("Credential", "Token", "Profile", "Authentic"))
    if isinstance(error, PermissionError) or status in (401, 403) or unknown:
        return _unsaid(url, doing, manner, code)
    if isinstance(error, FileNotFoundError) or status == 404:
        return UsageError(
            f"there is no such bucket ({code}).", where=f"{WHERE} {url}", fix="Make it."
        )
    odd = any(word in kind.__name__ for word in ("Validation", "Invalid", "Region"))
    if odd or (isinstance(error, OSError) and error.errno in HOPELESS):
        return UsageError(
            f"the store cannot {doing} this ({code}).",
            where=f"{WHERE} {url}",
            fix=f"Check the bucket's name and region, and the endpoint ({manner.endpoint}).",
        )
    ours = kind.__module__.split(".")[0] in {"builtins", "stillhouse"}
    if ours and not isinstance(error, OSError):
        return None
    tries = len(manner.pauses) + 1
    return ServerUnreachable(
        f"the store did not {doing}{f' in {tries} tries' if tries > 1 else ''} ({code}).",
        where=f"{WHERE} {url}",
        fix=f"Check the network and the endpoint ({manner.endpoint}), then run again: what was "
        "asked is kept.",
    )


def _unsaid(url: str, doing: str, manner: Manner, code: str = "no credentials") -> UsageError:
    """Return the error of a store that does not know who asks."""
    return UsageError(
        f"the store does not let us {doing} ({code}).",
        where=f"{WHERE} {url}",
        fix=f"Give it credentials as its own tools take them ({manner.credentials}), with the "
        "right to list, read and write there.",
    )
