"""`stillhouse distill`: from a teacher, rows and minutes to a student with its receipt, by the one
flow, in a workspace of its own.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import torch
import yaml

from stillhouse import environment, params, plugins
from stillhouse.clock import SYSTEM
from stillhouse.config import Spec
from stillhouse.environment import HIDDEN
from stillhouse.errors import SourceError, UsageError, nearest
from stillhouse.steps.teacher import settings
from stillhouse.workspace import dump_json, write_atomic
from stillhouse_flows.init import TEMPLATES, joined, name_of, write
from stillhouse_flows.intake import look, pace
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.params_text import params_text
from stillhouse_flows.intake.plan import Plan, plan, read
from stillhouse_flows.intake.teachers import placed, teacher_of

ASKED = f"{HIDDEN}/distill.json"
ONNX = "artifacts/export/student.onnx"
GATE = "gate"  # beside a teacher's own settings


@dataclass(frozen=True)
class Wish:
    """What `stillhouse distill` was asked for.

    Attributes:
        teacher: A URI, a path or a plugin, as typed.
        data: A file or folder with rows.
        student: An architecture by name, or its settings.
        budget: As typed: `10m`.
        out: The folder of the new workspace; None: named after teacher and student.
        hints: What the user said of the data.
        sets: `--set` texts; those of `teacher` are written down, others last this run.
        force: Whether another distillation in that folder may be overwritten.
    """

    teacher: str
    data: Path
    student: str
    budget: str
    out: Path | None = None
    hints: Hints = field(default_factory=Hints)
    sets: tuple[str, ...] = ()
    force: bool = False

    @property
    def root(self) -> Path:
        """The folder of the new workspace."""
        return self.out or Path("distilled") / self.model

    @property
    def model(self) -> str:
        """The student's name in the registry."""
        student = str(self.student_spec["name"])
        source = self.teacher.partition("models:/")[2] or self.teacher
        if source.startswith("{"):
            source = str(teacher_of(source, Path())["name"])
        stem = Path(source.partition("@")[0].partition("?")[0].rstrip("/"))
        words = stem.parent.name if stem.name.isdigit() else stem.stem
        if "://" in source and not urlsplit(source).path.strip("/"):
            words = str(urlsplit(source).hostname).replace(".", "-")  # a host's dots end no name
        return name_of(Path(f"{words}-{student}"))

    @property
    def student_spec(self) -> Spec:
        """The student's architecture.

        Raises:
            UsageError: There is none of that name.
        """
        held = yaml.safe_load(self.student)
        spec = {"name": held} if isinstance(held, str) else held
        names = list(plugins.available("architectures"))
        if not isinstance(spec, Mapping) or spec.get("name") not in names:
            said = str(spec.get("name") if isinstance(spec, Mapping) else held)
            raise UsageError(
                f"there is no student '{said}'.", where="--student", fix=nearest(said, names)
            )
        return dict(spec)

    def as_dict(self) -> dict[str, Any]:
        """Return what another command must repeat to go on in the same workspace."""
        hints = {key: value for key, value in vars(self.hints).items() if value}
        said = {"teacher": self.teacher, "data": str(self.data.resolve()), "budget": self.budget}
        return {**said, "student": dict(self.student_spec), "hints": hints, "sets": list(self.sets)}

    def parted(self) -> tuple[list[str], list[str]]:
        """Return the `--set` texts of the teacher, and the others."""
        own = [text for text in self.sets if text.startswith("teacher.")]
        return own, [text for text in self.sets if text not in own]


def begin(wish: Wish) -> Plan | None:
    """Write the workspace; nothing where the same command began it before.

    Returns:
        What was planned; None where it goes on.

    Raises:
        UsageError: Another distillation lies there, the budget is too short, a setting cannot be
            meant, or the data leave something open.
        SourceError: Teacher or data cannot be read, or do not go together.
        DataError: The rows cannot be divided.
    """
    from stillhouse.pipeline.begin import begin_dvc, dvc_yaml

    seconds, root = pace.seconds_of(wish.budget), wish.root
    if _goes_on(wish):
        return None
    own, others = wish.parted()
    brought = teacher_of(wish.teacher, root)
    said = params.overlay({"teacher": brought}, [text for text in own if not _of_gate(text)])
    teacher = placed({key: each for key, each in said["teacher"].items() if key != GATE}, root)
    guess = look.guess(wish.data, root, wish.hints)
    registry = _registry(teacher)
    if registry:
        write_atomic(root / ".env", f"MLFLOW_TRACKING_URI={registry}\n".encode())
    torch.set_num_threads(environment.prepare(root).threads)  # as the run will have
    _bring_module(teacher, root)
    guess, dataset = read(guess, root)
    made = replace(plan(dataset, guess, wish.student_spec), teacher=teacher)
    made = replace(made, teacher_gate=_gate({GATE: made.teacher_gate, **brought}, own))
    made = pace.sized(made, pace.measure(made, dataset, root, SYSTEM), seconds)
    text = params_text(guess, made, kind=dataset.schema.kind, model=wish.model, plugins=[])
    _require_settings(text, others, root)
    write_atomic(root / ASKED, dump_json(wish.as_dict()))
    write(root / "dvc.yaml", dvc_yaml())
    for name in ("gitignore", "dvcignore"):
        write(root / f".{name}", joined(root / f".{name}", (TEMPLATES / name).read_text()))
    begin_dvc(root)
    write(root / "params.yaml", text)  # last: its being there says that the workspace is whole
    return made


def _require_settings(text: str, sets: list[str], root: Path) -> None:
    """Refuse a slip in `--set` while nothing is written: the command without it is another one, and
    would be refused in the same folder.

    Raises:
        SettingsError: A setting cannot be meant.
    """
    from stillhouse.pipeline import settings as every
    from stillhouse.steps import all as steps

    every.check(params.overlay(params.parse(text), sets), steps.load(), root.resolve())


def _of_gate(text: str) -> bool:
    return text.partition("=")[0].split(".")[:2] == ["teacher", GATE]


def _gate(section: Mapping[str, Any], own: list[str]) -> dict[str, Any] | None:
    """Return the teacher's gate: what the user says of it laid over what was planned.

    Raises:
        SettingsError: It is no gate.
    """
    asked = [text for text in own if _of_gate(text)]
    found: dict[str, Any] = params.overlay({"teacher": section}, asked)["teacher"]
    settings({"teacher": found})
    gate: dict[str, Any] | None = found[GATE]
    return gate


def _goes_on(wish: Wish) -> bool:
    if wish.root.exists() and not wish.root.is_dir():
        raise UsageError(
            "it is a file.", where=f"--out, {wish.root}", fix="Name a folder for the workspace."
        )
    there = wish.root / "params.yaml"
    if not there.is_file() or wish.force:
        return False
    asked = wish.root / ASKED
    if asked.is_file() and asked.read_bytes() == dump_json(wish.as_dict()):
        return True
    raise UsageError(
        "another distillation lies there already; nothing was written.",
        where=str(wish.root),
        fix="Name another folder (--out), say --force to overwrite its settings, or go on with "
        f"`stillhouse run` in {wish.root}.",
    )


def _registry(teacher: Mapping[str, Any]) -> str | None:
    """Return the MLflow that the new workspace shall share, where the environment names none: that
    of the project we stand in, or a database of MLflow's own making beside us.

    Raises:
        SourceError: A registered model is wanted, and there is no registry.
    """
    from stillhouse_flows.command import root

    if "uri" not in teacher or environment.tracking_is_given():
        return None
    here = root()
    given = environment.dotenv(here / ".env").get("MLFLOW_TRACKING_URI")
    for path in (here / HIDDEN / "mlflow.db", Path("mlflow.db")):
        given = given or (f"sqlite:///{path.resolve()}" if path.is_file() else None)
    if given is None:
        raise SourceError(
            "there is no MLflow here to look it up in.",
            where=str(teacher["uri"]),
            fix="Set MLFLOW_TRACKING_URI, or stand in the project whose registry holds it.",
        )
    return given


def _bring_module(teacher: Mapping[str, Any], root: Path) -> None:
    """Copy the one file of ours that a teacher `module` names beside params.yaml, where it is
    looked for.
    """
    module = str(teacher.get("module", "")).partition(":")[0]
    path = Path(f"{module}.py")
    if module and path.is_file() and not (root / path).exists():
        root.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / path)
    plugins.use([], root.resolve())


def distill(wish: Wish, *, json_only: bool) -> int:
    """Begin or go on, run the flow, and tell where the student is; return the exit code."""
    from stillhouse.pipeline.budget import CutShort
    from stillhouse_flows import show
    from stillhouse_flows.run import run_project

    show.note(f"Looking at data, teacher and student for {wish.root} …")
    made = begin(wish)
    show.note(planned(made, wish) if made else f"Going on in {wish.root}.")
    beside = {"workspace": str(wish.root), "student": str(wish.root / ONNX)}
    try:
        return run_project(
            wish.root.resolve(), wish.parted()[1], json_only=json_only, beside=beside
        )
    except CutShort as cut:
        # the budget is what was asked for here: what it pays for is the student
        shorten(wish.root / "params.yaml", cut.trials)
        show.note(f"{wish.budget} pay for {cut.trials} trials of each arm: written down.")
    _again()


def _again() -> NoReturn:
    """Become the same command once more: Prefect keeps a process to the server that it began with,
    and that one is gone.
    """
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def shorten(path: Path, trials: int) -> None:
    """Write into a params.yaml of ours how many trials there are."""
    text, found = re.subn(r"(?m)^(tune: \{trials: )\d+", rf"\g<1>{trials}", path.read_text())
    if not found:
        raise UsageError(
            "the section tune is not as it was written.",
            where=str(path),
            fix=f"Set tune.trials: {trials} and say `stillhouse run` there.",
        )
    write(path, text)


def planned(made: Plan, wish: Wish) -> str:
    """Return in words what the budget pays for."""
    rows = sum(made.rows.values())
    return (
        f"{rows:,} rows; {made.teacher['name']} teaches {made.student.spec['name']} "
        f"({made.student.parameters:,} weights). {wish.budget} pay for {made.trials} trials of "
        f"{made.epochs} epochs an arm. Settings: {wish.root / 'params.yaml'}."
    )
