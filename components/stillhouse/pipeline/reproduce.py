"""Make a registered version again from its commit, its data and its settings, and compare."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse import environment
from stillhouse.environment import HIDDEN
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.pipeline import champion, checkout
from stillhouse.pipeline.settings import dump
from stillhouse.receipt import schema
from stillhouse.receipt.same import Comparison, Difference, compare
from stillhouse.workspace import Workspace

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project

DIRTY = "-dirty"
_STAGE = re.compile(r"Running stage '(?P<name>[a-z]+)'")


@dataclass(frozen=True)
class Reproduction:
    """What making a version again came to.

    Attributes:
        model: The registered model.
        version: The version.
        commit: The commit that it was made from.
        committed: Whether all tracked files were committed when it was made.
        fingerprint: Of the version.
        again: Of the student that was made now.
        compared: Its receipt and the one that was made now.
        folder: The copy, kept where something differs.
        seconds: How long it took.
    """

    model: str
    version: int
    commit: str
    committed: bool
    fingerprint: str
    again: str
    compared: Comparison
    folder: Path | None
    seconds: float

    @property
    def same(self) -> bool:
        """Whether the student and every number are what they were."""
        return self.fingerprint == self.again and not self.compared.differences

    def as_dict(self) -> dict[str, Any]:
        """Return what `stillhouse reproduce --json` prints."""

        def told(found: tuple[Difference, ...]) -> list[dict[str, Any]]:
            return [dict(vars(difference)) for difference in found]

        return {
            "model": self.model,
            "version": self.version,
            "same": self.same,
            "commit": self.commit,
            "committed": self.committed,
            "fingerprint": {"then": self.fingerprint, "now": self.again},
            "values": self.compared.values,
            "differences": told(self.compared.differences),
            "causes": told(self.compared.causes),
            "folder": str(self.folder) if self.folder else None,
            "seconds": self.seconds,
        }


def reproduce(project: "Project", version: int) -> Reproduction:
    """Check a version's commit out, pull its data, repeat every step with its receipt's settings
    over the champion that its gate saw, and compare every number.

    Nothing is registered, and nothing of the project changes but `.stillhouse/reproduce/`.

    Args:
        project: Its workspace is held.
        version: A registered version.

    Raises:
        UsageError: There is no such version, or its commit is not here.
        Corrupt: The registry's bytes are not those that were registered.
        StillhouseError: A step of the repetition failed.
    """
    from stillhouse.release.champion import stored_file
    from stillhouse.release.manifest import student_fingerprint
    from stillhouse.release.promote import target
    from stillhouse.steps.engines import PINNED

    clock, root = project.workspace.clock, project.workspace.root
    began = clock.seconds()
    found = target(project.registry, version)
    receipt = json.loads(stored_file(project.registry, version, "receipt.json"))
    schema.check(receipt)
    commit = _commit(receipt, version)
    name = f"{HIDDEN}/reproduce/{project.model}-{version}"
    project.workspace.remove(name)
    copy = checkout.checkout(root, commit.removesuffix(DIRTY), root / name)
    env = _environment(project, copy, root / name, receipt["lineage"]["versions"])
    _prepare(project, copy, receipt["settings"], env)
    studies = receipt["evidence"]["trials"].items()
    engines = {arm: study["engine"] for arm, study in studies if "engine" in study}
    Workspace(copy).write_json(PINNED, engines)  # a probe could find another one faster today
    _repeat(project, copy, version, env)
    again = Workspace(copy)
    compared = compare(receipt, again.read_json("artifacts/report/receipt.json"))
    made = Reproduction(
        model=project.model,
        version=version,
        commit=commit.removesuffix(DIRTY),
        committed=not commit.endswith(DIRTY),
        fingerprint=found.fingerprint,
        again=student_fingerprint(again) or "",
        compared=compared,
        folder=root / name,
        seconds=round(clock.seconds() - began, 3),
    )
    if not made.same:
        return made
    project.workspace.remove(name)
    return Reproduction(**{**vars(made), "folder": None})


def _commit(receipt: dict[str, Any], version: int) -> str:
    commit = str(receipt["lineage"]["git"])
    if not checkout.COMMIT.fullmatch(commit.removesuffix(DIRTY)):
        raise UsageError(
            f"version {version} was made without git: its receipt says '{commit}'.",
            where="lineage.git",
            fix="Commit the project before `stillhouse run`; its receipts name the commit then.",
        )
    return commit


def _environment(
    project: "Project", copy: Path, top: Path, versions: dict[str, str]
) -> dict[str, str]:
    """Return the environment of the copy's processes: its own code and scratch, the project's
    registry, which they only read; and the CPU where the version was trained there, which every
    machine has. Another device is told as what differs.
    """
    device = {"STILLHOUSE_DEVICE": "cpu"} if versions.get("device") == "cpu" else {}
    code = checkout.code_of(copy, top)
    bin_ = Path(sys.executable).parent
    return environment.child(
        copy,
        PATH=environment.first("PATH", bin_),
        PYTHONPATH=environment.first("PYTHONPATH", *code),
        DVC_SITE_CACHE_DIR=str(copy / HIDDEN / "dvc"),
        MLFLOW_TRACKING_URI=project.place.tracking_uri,
        STILLHOUSE_FAILPOINTS="",
        **device,
    )


def _prepare(project: "Project", copy: Path, settings: dict[str, Any], env: dict[str, str]) -> None:
    """Lay the receipt's settings over the commit's, and bring the data."""
    again = Workspace(copy)
    (copy / HIDDEN / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
    again.write_bytes("params.yaml", dump(settings).encode())
    again.remove("dvc.lock")  # nothing is taken for done
    checkout.pull(project.workspace.root, copy, env)
    checkout.named_files(project.workspace.root, copy, project.steps, settings, project.told)


def _repeat(project: "Project", copy: Path, version: int, env: dict[str, str]) -> None:
    """Lock, put the champion there that the version's gate saw, and let DVC run every step."""
    from stillhouse.release.champion import judged_against

    stillhouse = "from stillhouse_flows.cli import main; main()"
    _run([sys.executable, "-c", stillhouse, "lock"], copy, env, lambda line: None)
    about, model = judged_against(project.registry, version)
    Workspace(copy).write_bytes(champion.JSON, about)
    Workspace(copy).write_bytes(champion.ONNX, model)
    names = list(project.steps)

    def each(line: str) -> None:
        stage = _STAGE.search(line)
        if stage and stage["name"] in names:
            project.progress(names.index(stage["name"]), len(names), stage["name"])

    _run([sys.executable, "-m", "dvc", "repro"], copy, env, each)


def _run(command: list[str], copy: Path, env: dict[str, str], each: Callable[[str], None]) -> None:
    """Run a command in the copy, line by line.

    Raises:
        StillhouseError: It failed; the message has its last words.
    """
    said: list[str] = []
    with subprocess.Popen(
        command,
        cwd=copy,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                said = [*said[-20:], line.strip()]
                each(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        last = " ".join(line for line in said if line)[-600:]
        raise StillhouseError(
            f"`{' '.join(command[-2:])}` ended with {process.returncode}: {last}",
            where=str(copy),
            fix="The copy is left there; look into it.",
        )
