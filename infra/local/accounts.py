"""Accounts on the stack's MLflow: one a person, so that the ledger tells who."""

import base64
import json
import secrets
import urllib.error
import urllib.request
from typing import Any

from stack import NotHealthy, Stack, has_accounts

LEDGER = "--ledger"


def add(stack: Stack, name: str) -> str:
    """Make an account; return its password, which is shown once.

    Raises:
        NotHealthy: MLflow has no accounts here, or one of that name.
    """
    if not has_accounts():
        raise NotHealthy("MLflow has no accounts here: Flask-WTF is not installed.")
    password = secrets.token_urlsafe(18)
    _ask(stack, "POST", "users/create", {"username": name, "password": password})
    return password


def only_trains(stack: Stack, name: str, model: str) -> None:
    """Let an account register students of a model, and not promote them: it may read the model's
    ledger, and not write it.

    Raises:
        NotHealthy: There is no such account, or the model was never promoted yet.
    """
    ledger = {"name": model + LEDGER, "username": name, "permission": "READ"}
    _ask(stack, "POST", "registered-models/permissions/create", ledger)


def _ask(stack: Stack, method: str, path: str, body: dict[str, Any]) -> Any:
    admin = f"admin:{stack.secrets['MLFLOW_ADMIN_PASSWORD']}".encode()
    request = urllib.request.Request(
        f"{stack.url('mlflow')}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode(),
        method=method,
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {base64.b64encode(admin).decode()}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise NotHealthy(
            f"MLflow refused ({error.code}): {error.read().decode(errors='replace')[:300]}"
        ) from None
