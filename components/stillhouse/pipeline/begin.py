"""Begin a project in somebody's repository: DVC where there is none, and the graph of the steps."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import yaml

from stillhouse.pipeline import champion
from stillhouse.pipeline.lockfile import CODE_LOCK, inputs_name
from stillhouse.steps import all as steps_of
from stillhouse.steps.step import Step

Begun = Literal["there already", "in git", "in a folder of git", "without git"]

HEAD = (
    "# The graph of the steps, for DVC; written by `stillhouse init`. `stillhouse lock` writes "
    "what DVC cannot\n# see (code, named files, the champion) before DVC is asked.\n"
)
OFF = {"analytics": False, "check_update": False, "autostage": False}


def git_root(root: Path) -> Path | None:
    """Return the folder of the repository that a folder lies in, or None."""
    here = root.resolve()
    return next((place for place in (here, *here.parents) if (place / ".git").exists()), None)


def begin_dvc(root: Path) -> Begun:
    """Make DVC's folder where there is none; it phones nobody.

    Args:
        root: The folder of params.yaml.

    Returns:
        How: DVC wants to be told whether the folder is a repository's root, lies in one, or in
        none.
    """
    from dvc.repo import Repo

    if (root / ".dvc").is_dir():
        return "there already"
    for name in ("dvc", "dvc.repo"):
        logging.getLogger(name).setLevel(logging.ERROR)
    top = git_root(root)
    repo = Repo.init(
        str(root), no_scm=top is None, subdir=top is not None and top != root.resolve()
    )
    with repo, repo.config.edit("repo") as settings:
        settings["core"] |= OFF
    if top is None:
        return "without git"
    return "in git" if top == root.resolve() else "in a folder of git"


def dvc_yaml() -> str:
    """Return the graph as DVC reads it, from what each step declares."""
    stages = {name: _stage(name, step) for name, step in steps_of.load().items()}
    text: str = yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)
    return HEAD + text


def _names_inputs(step: Step) -> bool:
    """Whether a step's inputs are written down: files that its section names, or watermarks."""
    default = {field.name: field.default for field in fields(Step)}
    return any(getattr(step, name) is not default[name] for name in ("sources", "watermarks"))


def _stage(name: str, step: Step) -> dict[str, Any]:
    last = name == steps_of.NAMES[-1]
    code = {CODE_LOCK: ["steps" if last else f"steps.{name}"]}
    named = [inputs_name(name)] if _names_inputs(step) else []
    crowned = [f".stillhouse/champion/{file}" for file in ("champion.json", "champion.onnx")]
    return {
        "cmd": f"stillhouse step {name}",
        "params": [*step.sections, *(["model"] if last else []), code],
        "deps": [
            *named,
            *(crowned if name in champion.READERS else []),
            *(f"artifacts/{file}" for file in step.reads),
        ],
        "outs": [f"artifacts/{name}/{file}" for file in (*step.writes, f"{name}.timing.json")],
        "metrics": [f"artifacts/{name}/metrics.json"],
    }
