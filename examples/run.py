"""Run one example on real data: `python examples/run.py adult` (or all of them, without a name).

Data are looked for in STILLHOUSE_DATA, else in `../shared/data` beside the repository. The project is made in `examples/work/<name>`
(git-ignored): params.yaml from the example's folder, data by its `material.py`, the graph as `stillhouse init` writes it. Then
`stillhouse run`, a linear model on the same labelled rows, and the measured table into the example's README.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from measure import measured, write_tables

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
NAMES = sorted(
    place.parent.name for place in HERE.glob("*/params.yaml") if place.parent.parent == HERE
)


def data_folder() -> Path:
    """Where the real data lie."""
    return Path(os.environ.get("STILLHOUSE_DATA") or HERE.parent.parent / "shared" / "data")


def make(name: str, work: Path) -> Path:
    """Make the example's project below `work` and return it; what is there already is kept, so that only what changed runs again."""
    project = work / name
    project.mkdir(parents=True, exist_ok=True)
    (project / "params.yaml").write_text((HERE / name / "params.yaml").read_text())
    if not (project / "data").exists():
        part = project / "data.part"
        subprocess.run(["rm", "-rf", str(part)], check=True)
        part.mkdir()
        _material(name).bring(data_folder(), part)
        part.rename(project / "data")
    if not (project / ".dvc").is_dir():
        subprocess.run(
            [BIN / "dvc", "init", "--no-scm", "-q"],
            cwd=project,
            check=True,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        )
    from stillhouse.pipeline.begin import dvc_yaml

    (project / "dvc.yaml").write_text(dvc_yaml())
    return project


def _material(name: str):
    spec = importlib.util.spec_from_file_location(f"material_{name}", HERE / name / "material.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str) -> int:
    """Run an example and write what was measured; the exit code is that of `stillhouse run`."""
    project = make(name, HERE / "work")
    code = subprocess.run([BIN / "stillhouse", "run"], cwd=project, check=False).returncode
    if code in (0, 3):  # promoted, or held or rejected: both have a receipt
        write_tables(HERE, name, measured(project))
    return code


def main(names: list[str]) -> int:
    """Run examples; return the first exit code that is an error's."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(
            f"There is no example '{unknown[0]}'. There are: {', '.join(NAMES)}.", file=sys.stderr
        )
        return 2
    if not data_folder().is_dir():
        print(
            f"No data at {data_folder()}. Set STILLHOUSE_DATA to the folder that holds them; each README names its source.",
            file=sys.stderr,
        )
        return 2
    codes = [run(name) for name in names or NAMES]
    return next((code for code in codes if code not in (0, 3)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
