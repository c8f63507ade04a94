"""Accounts on a stack's MLflow: one a person, so that the ledger tells who, and may less than all.

    python infra/local/accounts.py NAME [--only-trains MODEL]    # asks for the admin's password

MLflow's default permission is READ, and a floor: what more somebody may, is granted here.
"""

import argparse
import base64
import getpass
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

EVERY = "*"


class Refused(Exception):
    """MLflow said no, or did not answer."""


@dataclass(frozen=True)
class Accounts:
    """The accounts of one MLflow.

    Attributes:
        url: Its address.
        password: The admin's.
    """

    url: str
    password: str = field(repr=False)

    def add(self, name: str, only_trains: str = "") -> str:
        """Make an account; return its password, which is shown once.

        Args:
            name: Of the account.
            only_trains: A model that it may register students of. It cannot write that model's
                ledger then, nor any other: it trains, and somebody else promotes.

        Raises:
            Refused: There is one of that name, or MLflow has no accounts.
        """
        password = secrets.token_urlsafe(18)
        self._post("2.0/mlflow/users/create", {"username": name, "password": password})
        self._grant(name, "experiment", EVERY)
        self._grant(name, "registered_model", only_trains or EVERY)
        return password

    def _grant(self, name: str, kind: str, of: str) -> None:
        """Let an account edit: create versions and aliases, but delete nothing of others."""
        body = {"username": name, "resource_type": kind, "resource_id": of, "permission": "EDIT"}
        self._post("3.0/mlflow/users/permissions/grant", body)

    def _post(self, path: str, body: Mapping[str, str]) -> None:
        token = base64.b64encode(f"admin:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            data=json.dumps(body).encode(),
            method="POST",
            headers={"Content-Type": "application/json", "Authorization": f"Basic {token}"},
        )
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:300]
            raise Refused(f"MLflow refused ({error.code}): {said}") from None
        except OSError as error:
            raise Refused(f"MLflow does not answer at {self.url}: {error}") from None


def main() -> int:
    """Make an account on the MLflow that MLFLOW_TRACKING_URI names, and print its lines of .env."""
    made = argparse.ArgumentParser(prog="accounts.py", description=Accounts.__doc__)
    made.add_argument("name")
    made.add_argument("--only-trains", metavar="MODEL", default="")
    asked = made.parse_args()
    url = os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    admin = os.environ.get("MLFLOW_ADMIN_PASSWORD") or getpass.getpass(
        f"admin's password at {url}: "
    )
    try:
        password = Accounts(url, admin).add(asked.name, asked.only_trains)
    except Refused as error:
        print(f"✕ {error}", file=sys.stderr)
        return 1
    print(f"MLFLOW_TRACKING_USERNAME={asked.name}\nMLFLOW_TRACKING_PASSWORD={password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
