"""The only place that reads the environment, and what every command does to it before a heavy
import.

Everything that a library would write to a shared or home folder goes under `.stillhouse/`; whatever
pickles, phones home or retries for minutes is switched off. A value that the user set is kept.
"""

import importlib.util
import os
import pwd
import re
import resource
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from stillhouse import failpoints
from stillhouse.errors import SettingsError

HIDDEN = ".stillhouse"


@dataclass(frozen=True)
class Place:
    """Where a run happens: what differs between a laptop and a team's servers, and never changes a
    number by more than its rounding.

    Attributes:
        root: The folder that holds params.yaml.
        tracking_uri: MLflow's; a sqlite file in the workspace by default.
        artifact_root: Where an embedded MLflow keeps artifacts; None with a server, which decides
            itself.
        prefect_url: Prefect's API; None means a server of our own.
        token: MLflow's bearer token, never printed.
        threads: torch's threads. One gives the same bits on every machine of a kind.
        device: Where models compute, as torch names it; `auto`: the accelerator that torch finds,
            else the CPU. Another device rounds differently, so that a receipt names it.
        studies: URL of a PostgreSQL that keeps Optuna's studies for a team; None means journals in
            the workspace.
        knowledge: A folder, or the URL of a bucket, in which workspaces and people share teachers'
            answers; None: each workspace asks for itself.
    """

    root: Path
    tracking_uri: str
    artifact_root: Path | None
    prefect_url: str | None
    token: SecretStr | None
    threads: int
    studies: SecretStr | None = None
    knowledge: Path | str | None = None
    device: str = "auto"


def dotenv(path: Path) -> dict[str, str]:
    """Return the `NAME=value` lines of a .env file; comments and blank lines are left out."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (
        line.removeprefix("export ").partition("=")
        for line in lines
        if line and not line.startswith("#") and "=" in line
    )
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def _defaults(root: Path) -> dict[str, str]:
    hidden = root / HIDDEN
    return {
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(hidden / "dvc"),
        "GX_ANALYTICS_ENABLED": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MPLCONFIGDIR": str(hidden / "matplotlib"),
        "PREFECT_CLIENT_MAX_RETRIES": "3",  # 2 + 4 + 8 s; five would take a minute a call
        "PREFECT_HOME": str(hidden / "prefect"),
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # what failed is told once, by us
        "PREFECT_LOGGING_ROOT_LEVEL": "WARNING",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PYTHONWARNINGS": "ignore",
        "XDG_CACHE_HOME": str(hidden / "cache"),
        "XDG_CONFIG_HOME": str(hidden / "config"),
    }


def prepare(root: Path) -> Place:
    """Settle the process's environment for a workspace and arm the failpoints; call it before any
    heavy import.

    Args:
        root: The folder that holds params.yaml.

    Returns:
        Where MLflow, Prefect and the artifacts are.

    Raises:
        SettingsError: STILLHOUSE_FAILPOINTS names an unknown point, or another variable of ours
            cannot be meant.
    """
    failpoints.arm(os.environ.get("STILLHOUSE_FAILPOINTS", ""))
    os.umask(0o077)
    for name, value in {**_defaults(root), **dotenv(root / ".env")}.items():
        os.environ.setdefault(name, value)
    scratch = root / HIDDEN / "tmp"
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    )
    _no_core_dumps()
    return place(root)


def _no_core_dumps() -> None:
    """A core file would hold whatever secrets the process had read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def place(root: Path) -> Place:
    """Return the place that the environment describes, without changing anything.

    Raises:
        SettingsError: STILLHOUSE_THREADS, STILLHOUSE_DEVICE or STILLHOUSE_KNOWLEDGE cannot be
            meant.
    """
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return Place(
        root=root,
        tracking_uri=tracking or f"sqlite:///{root / HIDDEN / 'mlflow.db'}",
        artifact_root=None if tracking.startswith("http") else root / HIDDEN / "mlartifacts",
        prefect_url=os.environ.get("PREFECT_API_URL") or None,
        token=SecretStr(token) if token else None,
        threads=_threads(),
        studies=secret("STILLHOUSE_STUDIES"),
        knowledge=_shared("STILLHOUSE_KNOWLEDGE"),
        device=_device(),
    )


def tracking_is_given() -> bool:
    """Whether the user named an MLflow in the environment."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


# What speaks to a store, and what installs it, by the scheme of the store's URLs.
STORES = {
    "s3": ("s3fs", "stillhouse[s3]"),
    "gs": ("gcsfs", "gcsfs"),
    "az": ("adlfs", "adlfs"),
}


def _shared(name: str) -> Path | str | None:
    """Return the folder, or the URL of a bucket, that a variable names."""
    text = os.environ.get(name, "")
    if not text:
        return None
    if "://" in text:
        return _bucket(text, name)
    found = Path(text).expanduser()
    if not found.is_absolute() or not found.is_dir():
        raise SettingsError(
            f"'{text}' is no folder that is there.",
            where=name,
            fix="Make it, and give its whole path; or write s3://bucket/prefix.",
        )
    return found


def _bucket(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    if any(mark in rest for mark in "@?#"):  # it may be a secret, and is not repeated
        raise SettingsError(
            "the bucket's URL holds more than a bucket and a prefix.",
            where=name,
            fix=f"Write {scheme}://bucket/prefix; credentials belong where the store's own tools "
            "take them, such as AWS_PROFILE.",
        )
    library, package = STORES.get(scheme, ("", ""))
    if library and importlib.util.find_spec(library) is None:
        raise SettingsError(
            f"what speaks to {scheme}:// is not installed.",
            where=name,
            fix=f"pip install '{package}'",
        )
    return url.rstrip("/")


def _threads() -> int:
    text = os.environ.get("STILLHOUSE_THREADS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(
            f"'{text}' is no number of threads.",
            where="STILLHOUSE_THREADS",
            fix="Set it to 1 or more, or unset it.",
        )
    return int(text)


def _device() -> str:
    """Whether the machine has it is seen when torch is there."""
    text = os.environ.get("STILLHOUSE_DEVICE") or "auto"
    if not re.fullmatch(r"[a-z]+(:\d+)?", text):
        raise SettingsError(
            f"'{text}' is no device.",
            where="STILLHOUSE_DEVICE",
            fix="Set it to auto, cpu, cuda, cuda:1 or mps, or unset it.",
        )
    return text


def started_by_dvc() -> bool:
    """Whether DVC started this process as the command of a stage."""
    return "DVC_STAGE" in os.environ


def no_color() -> bool:
    """Whether the user asked for plain text (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def secret(name: str) -> SecretStr | None:
    """Return what a variable that a setting names holds, such as a database's address with its
    password; None where it is not set.
    """
    found = os.environ.get(name, "")
    return SecretStr(found) if found else None


def who() -> str:
    """Return who asks, as `name@host`: MLflow's user name where one is set, else the account's.

    It is what this process says of itself, told to people and never believed.
    """
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user has a number only
        account = str(os.getuid())
    return f"{os.environ.get('MLFLOW_TRACKING_USERNAME') or account}@{socket.gethostname()}"


def first(name: str, *places: Path) -> str:
    """Return a variable that lists folders, such as PATH, with these put first."""
    found = os.environ.get(name, "")
    return os.pathsep.join([*map(str, places), *([found] if found else [])])


def child(root: Path, **extra: str) -> dict[str, str]:
    """Return the environment for a process of ours in this workspace."""
    return {**os.environ, "TMPDIR": str(root / HIDDEN / "tmp"), **extra}
