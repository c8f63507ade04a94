"""Whether the data changed since the last run looked at them."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.pipeline.lockfile import inputs_name, named_files

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project


@dataclass(frozen=True)
class News:
    """What differs from what the last run locked.

    Attributes:
        names: The files and folders, as params.yaml names them; empty where nothing changed.
        digest: Hex sha256 of what they hold now: the same news twice is the same digest.
    """

    names: tuple[str, ...]
    digest: str


def news(project: "Project") -> News:
    """Compare every file and folder that params.yaml names with what the last run locked.

    Only bytes are looked at, DVC is not asked: a run that refused these very data has seen them,
    and is not asked for again. Nothing is written, so it needs no lock.

    Raises:
        SourceError: A file is not there.
    """
    root = project.workspace.root
    now: dict[str, str] = {}
    seen: dict[str, str] = {}
    for name, step in project.steps.items():
        now |= named_files(step, project.params, root)
        if (root / inputs_name(name)).is_file():
            seen |= project.workspace.read_json(inputs_name(name))
    changed = tuple(sorted(name for name in now if now[name] != seen.get(name)))
    told = json.dumps([(name, now[name]) for name in changed])
    return News(changed, hashlib.sha256(told.encode()).hexdigest())
