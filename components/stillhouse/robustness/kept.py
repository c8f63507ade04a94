"""Finished attacks, kept until the suite is whole: one that was killed goes on where it was, and
comes to the same bits.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from stillhouse.robustness.adversarial import Result
from stillhouse.robustness.case import Case
from stillhouse.workspace import Workspace, dump_tensors, load_tensors

FOLDER = ".stillhouse/work/robustness"
Keep = Callable[[Case, Callable[[], Result]], Result]


def anew(case: Case, make: Callable[[], Result]) -> Result:  # noqa: ARG001 - one of the ways to keep
    """Return what is made now: nothing is kept."""
    return make()


@dataclass(frozen=True)
class Kept:
    """A place for the outcomes of one suite.

    Attributes:
        workspace: Where.
        identity: Of everything that outcomes hang on: model, rows, seed, code. Another identity
            finds nothing here.
    """

    workspace: Workspace
    identity: str

    def keep(self, case: Case, make: Callable[[], Result]) -> Result:
        """Return the outcome of an attack, made unless it was finished before.

        Args:
            case: The attack and its threat.
            make: Runs it.
        """
        name = self._name(case)
        path = self.workspace.root / name
        if path.is_file():
            found = load_tensors(path)
            return Result(case, found["still"] == 1, found["inputs"])
        made = make()
        self.workspace.write_bytes(
            name, dump_tensors({"still": made.still.byte(), "inputs": made.inputs})
        )
        return made

    def forget(self) -> None:
        """Remove what is kept: the suite is whole, or was another one."""
        self.workspace.remove(FOLDER)

    def _name(self, case: Case) -> str:
        told = json.dumps([self.identity, case.as_dict()], sort_keys=True)
        return f"{FOLDER}/{hashlib.sha256(told.encode()).hexdigest()[:32]}.safetensors"
