"""The team stack on this machine, without containers: `make team-local`, `make team-local-stop`.

python infra/local/team.py start | stop | health | env | backup FILE | restore FILE
python infra/local/team.py user NAME [--only-trains MODEL]
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import backup
from accounts import Accounts, Refused
from postgres import Missing
from stack import NotHealthy, Stack, has_accounts

PARTS = ("postgres", "mlflow", "prefect", "worker")
PROJECT = Path(__file__).resolve().parents[2]


def start(stack: Stack, asked: argparse.Namespace) -> int:
    """Start all, and say how to join."""
    stack.start()
    print(f"MLflow   {stack.url('mlflow')}" + ("" if has_accounts() else "   (without accounts)"))
    print(f"Prefect  {stack.url('prefect')}")
    print(f"folder   {stack.folder}   (logs in log/, the DVC remote in dvc/)")
    if not has_accounts():
        print("MLflow asks for no password: Flask-WTF is missing (pip install 'mlflow[auth]').")
    print("Join it: `python infra/local/team.py env >> .env`. Stop it: make team-local-stop")
    return 0


def stop(stack: Stack, asked: argparse.Namespace) -> int:
    """Stop all."""
    print(f"stopped: {', '.join(stack.stop()) or 'nothing ran'}")
    return 0


def remove(stack: Stack, asked: argparse.Namespace) -> int:
    """Stop all, and delete the stack with all that it holds."""
    stop(stack, asked)
    for place in (stack.postgres.home, stack.folder):
        shutil.rmtree(place, ignore_errors=not place.exists())
    print(f"removed: {stack.folder}")
    return 0


def health(stack: Stack, asked: argparse.Namespace) -> int:
    """Say of every part whether it answers."""
    found = {name: stack.healthy(name) for name in PARTS}
    for name, well in found.items():
        print(f"{'✓' if well else '✕'} {name:<9} 127.0.0.1:{stack.ports[name]}")
    return 0 if all(found.values()) else 1


def env(stack: Stack, asked: argparse.Namespace) -> int:
    """Print what a project's .env needs."""
    print("\n".join(f"{name}={value}" for name, value in stack.client().items()))
    return 0


def user(stack: Stack, asked: argparse.Namespace) -> int:
    """Make an account and print its .env."""
    if not has_accounts():
        raise NotHealthy("MLflow has no accounts here: Flask-WTF is not installed.")
    known = Accounts(stack.url("mlflow"), stack.secrets["MLFLOW_ADMIN_PASSWORD"])
    password = known.add(asked.name, asked.only_trains)
    found = stack.client(asked.name, password)
    print("\n".join(f"{name}={value}" for name, value in found.items()))
    return 0


def save(stack: Stack, asked: argparse.Namespace) -> int:
    """Back up."""
    print(f"{asked.file}: {backup.backup(stack, asked.file) / 1e6:.1f} MB; keep it as a secret")
    return 0


def bring_back(stack: Stack, asked: argparse.Namespace) -> int:
    """Restore."""
    backup.restore(stack, asked.file)
    print(f"restored from {asked.file}; what was there is in {stack.folder}/before-restore")
    return health(stack, asked)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="team.py", description="The team stack on this machine.")
    place = os.environ.get("STILLHOUSE_TEAM") or str(PROJECT / ".stillhouse" / "team")
    made.add_argument("--folder", type=Path, default=Path(place), help="its state")
    made.add_argument("--project", type=Path, default=PROJECT, help="where the worker stands")
    acts = made.add_subparsers(required=True)
    for name, act in (("start", start), ("stop", stop), ("health", health), ("env", env)):
        acts.add_parser(name, help=act.__doc__).set_defaults(act=act)
    for name, act in (("backup", save), ("restore", bring_back)):
        sub = acts.add_parser(name, help=act.__doc__)
        sub.add_argument("file", type=Path)
        sub.set_defaults(act=act)
    sub = acts.add_parser("remove", help=remove.__doc__)
    sub.add_argument("--yes", action="store_true", required=True, help="there is no way back")
    sub.set_defaults(act=remove)
    sub = acts.add_parser("user", help=user.__doc__)
    sub.add_argument("name")
    sub.add_argument("--only-trains", metavar="MODEL", default="")
    sub.set_defaults(act=user)
    return made


def main() -> int:
    """Act, and turn what is expected to go wrong into one line."""
    asked = parser().parse_args()
    os.umask(0o077)
    try:
        code: int = asked.act(Stack(asked.folder.resolve(), asked.project.resolve()), asked)
        return code
    except (NotHealthy, Refused, Missing, RuntimeError, OSError) as error:
        print(f"✕ {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
