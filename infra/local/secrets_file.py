"""Passwords of the stack: made once, kept in a file that only its owner reads."""

import os
import secrets
from pathlib import Path

NAMES = (
    "POSTGRES_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "PREFECT_PASSWORD",
)


def read(folder: Path) -> dict[str, str]:
    """Return the stack's secrets, made if there are none."""
    path = folder / "secrets.env"
    if not path.is_file():
        write(folder, {name: secrets.token_urlsafe(24) for name in NAMES})
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write(folder: Path, values: dict[str, str]) -> None:
    """Keep them, readable by their owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "secrets.env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{name}={value}\n" for name, value in values.items()))
