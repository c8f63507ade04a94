"""Take secrets out of text before anybody else reads it: the one place that knows what a credential
looks like.
"""

import re
from collections.abc import Mapping
from typing import Any

_IN_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"]*@")
_NAMED = re.compile(
    r"(?P<name>(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|signature|credential)s?[\"']?\s*[=:]\s*[\"']?)[^\s&;,'\"}]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<name>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"password|passwd|secret|(?:^|[._-])token$|api[_-]?key|access[_-]?key|credential", re.IGNORECASE
)
HIDDEN = "***"


def redact(text: str) -> str:
    """Return the text without user names and passwords in URLs, and without the values of
    parameters that are named like secrets.

    Example:
        >>> redact("postgresql://ann:hunter2@db/mlflow and ?token=abc")
        'postgresql://***@db/mlflow and ?token=***'
    """
    text = _IN_URL.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
    return _BEARER.sub(rf"\g<name>{HIDDEN}", text)


def redact_settings(settings: object, path: str = "") -> Any:
    """Return nested settings without secrets, for a receipt that strangers may read; numbers and
    names stay as they are.
    """
    if isinstance(settings, Mapping):
        return {
            key: redact_settings(inner, f"{path}.{key}" if path else str(key))
            for key, inner in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [redact_settings(inner, path) for inner in settings]
    return redact_setting(path, settings) if isinstance(settings, str) else settings


def redact_set(text: str) -> str:
    """Return a `--set` text without secrets."""
    path, equals, value = text.partition("=")
    return f"{path}{equals}{redact_setting(path, value)}"


def redact_setting(path: str, value: object) -> str:
    """Return a setting's value as text; one whose name says that it is a secret is hidden
    altogether.
    """
    return HIDDEN if _SECRET_NAME.search(path) else redact(str(value))
