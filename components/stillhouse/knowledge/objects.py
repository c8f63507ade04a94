"""Objects in a store of somebody else's, through fsspec: patient where a store is busy or away, and
clear where it refuses.

No message repeats a library's words: they may hold an address with a password in it.
"""

import errno
from collections.abc import Callable
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
        self._files = _filesystem(self.url)

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
        for pause in (*PAUSES, None):
            try:
                return act()
            except Exception as error:
                refusal = _refusal(error, self.url, doing)
                if refusal is None:
                    raise
                if pause is None or not refusal.may_pass:
                    raise refusal from None
                self.clock.sleep(pause)
        raise AssertionError  # the last try returned or raised


def _filesystem(url: str) -> Any:
    scheme = url.partition("://")[0]
    try:
        import fsspec

        # two clients of one process share no listing, and one that was closed is not handed out
        found = fsspec.filesystem(scheme, skip_instance_cache=True, **_options(scheme))
        found.retries = 1  # s3fs's own, on top of the client's: the patience is ours
        return found
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


def _options(scheme: str) -> dict[str, Any]:
    """Return what keeps a store that is away from holding a run up for minutes."""
    if scheme != "s3":
        return {}
    return {
        "config_kwargs": {
            "connect_timeout": SECONDS,
            "read_timeout": SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": 2},
        }
    }


def _code(error: BaseException) -> str:
    """Return the store's own word for an error, such as SlowDown, else the error's class."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            if code.isalnum():
                return code
    return type(error).__name__


def _is_taken(error: BaseException) -> bool:
    """Whether an object was there already, or is being made by another this moment."""
    return isinstance(error, FileExistsError) or _code(error) in {
        "PreconditionFailed",
        "412",
        "ConditionalRequestConflict",
        "409",
    }


def _refusal(error: Exception, url: str, doing: str) -> StillhouseError | None:
    """Return our error for a store's; None where it is a mistake of the program."""
    code, kind = _code(error), type(error)
    if isinstance(error, PermissionError) or any(
        word in kind.__name__ for word in ("Credential", "Token", "Profile")
    ):
        return UsageError(
            f"the store does not let us {doing} ({code}).",
            where=f"{WHERE} {url}",
            fix="Give it credentials as its own tools take them (AWS_PROFILE, AWS_ACCESS_KEY_ID, "
            "…), with the right to list, read and write there.",
        )
    if isinstance(error, FileNotFoundError):
        return UsageError(
            f"there is no such bucket ({code}).", where=f"{WHERE} {url}", fix="Make it."
        )
    odd = any(word in kind.__name__ for word in ("Validation", "Invalid", "Region"))
    if odd or (isinstance(error, OSError) and error.errno in HOPELESS):
        return UsageError(
            f"the store cannot {doing} this ({code}).",
            where=f"{WHERE} {url}",
            fix="Check the bucket's name and region, and the endpoint (AWS_ENDPOINT_URL).",
        )
    ours = kind.__module__.split(".")[0] in {"builtins", "stillhouse"}
    if ours and not isinstance(error, OSError):
        return None
    return ServerUnreachable(
        f"the store did not {doing} in {len(PAUSES) + 1} tries ({code}).",
        where=f"{WHERE} {url}",
        fix="Check the network and the endpoint (AWS_ENDPOINT_URL), then run again: what was asked "
        "is kept.",
    )
