"""Reach MLflow: one client a place, quiet, with every failure turned into an error of ours that
says whether it may pass.
"""

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stillhouse.clock import SYSTEM
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable, StillhouseError
from stillhouse.tracking.redact import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

READING = 8.0  # seconds in which a question that changes nothing is asked again
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"}
_EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT"}
_SAID_NO = {
    "INVALID_PARAMETER_VALUE",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "INVALID_STATE",
    "FEATURE_DISABLED",
    "NOT_IMPLEMENTED",
}


class Missing(StillhouseError):
    """MLflow answered, and what was asked for is not there. Never said when it did not answer."""


class Exists(StillhouseError):
    """MLflow answered, and the name is taken already."""


def client(place: Place) -> "MlflowClient":
    """Return a client of the place's MLflow; nothing is written to stdout, and mlflow's global
    settings stay as they are.

    Raises:
        ServerUnreachable: The database or server cannot be opened.
    """
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "urllib3"):  # after the import, which sets them itself
        logging.getLogger(name).setLevel(logging.ERROR)
    if place.tracking_uri.startswith("sqlite:///"):
        (place.root / ".stillhouse").mkdir(mode=0o700, parents=True, exist_ok=True)
    return call(
        lambda: MlflowClient(tracking_uri=place.tracking_uri, registry_uri=place.tracking_uri),
        place,
    )


def warm(place: Place) -> None:
    """Import MLflow and make its database ready, which takes seconds the first time; safe in a
    thread beside other work.

    Raises:
        ServerUnreachable: MLflow does not answer.
    """
    opened = client(place)
    call(lambda: opened.search_experiments(max_results=1), place)


def call(ask: Callable[[], T], place: Place) -> T:
    """Return what MLflow answers.

    Args:
        ask: One call of its client.
        place: Names the server in messages, without credentials.

    Raises:
        Missing: It answered that there is no such thing.
        Exists: It answered that there is one already.
        ServerUnreachable: It did not answer, or failed: nothing is known about the effect of the
            call.
        StillhouseError: It answered no.
    """
    import requests
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    where = redact(place.tracking_uri)
    try:
        return ask()
    except MlflowException as error:
        raise _said(error, where) from None
    except (requests.RequestException, SQLAlchemyError, ConnectionError, TimeoutError) as error:
        raise _silent(error, where) from None
    except (json.JSONDecodeError, ParseError) as error:  # half an answer
        raise _silent(error, where) from None


def read(question: Callable[[], T], place: Place) -> T:
    """Return what MLflow answers to a question that changes nothing: it is asked again for some
    seconds, while a server restarts or an answer is cut. Errors as `call`.
    """
    until, pause = SYSTEM.seconds() + READING, 0.2
    while True:
        try:
            return call(question, place)
        except ServerUnreachable:
            if SYSTEM.seconds() + pause > until:
                raise
        SYSTEM.sleep(pause)
        pause *= 2


def _said(error: Any, where: str) -> StillhouseError:
    code, text = (
        str(error.error_code),
        redact(str(error)).splitlines()[0][:300] if str(error) else "no message",
    )
    if code in _MISSING:
        return Missing(text, where=where)
    if code in _EXISTS:
        return Exists(text, where=where)
    if code in _SAID_NO:
        return StillhouseError(
            f"MLflow refused: {text}",
            where=where,
            fix="Check the name, and the rights of the token.",
        )
    return _silent(error, where)


def _silent(error: Exception, where: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"MLflow does not answer: {_why(error)}.",
        where=where,
        fix="Start the server, or check MLFLOW_TRACKING_URI.",
    )


# What requests and urllib3 wrap in half a screen of words, by what stands in them.
_WHY = {
    "Failed to establish": "the connection was refused",
    "Connection refused": "the connection was refused",
    "Name or service not known": "there is no such host",
    "timed out": "no answer came in time",
    "closed connection without response": "the connection was cut",
    "Connection reset": "the connection was cut",
    "IncompleteRead": "half of an answer came",
}


def _why(error: Exception) -> str:
    text = (redact(str(error)).splitlines() or [""])[0]
    known = [said for sign, said in _WHY.items() if sign in text]
    return known[0] if known else text[:200].rstrip(". ")
