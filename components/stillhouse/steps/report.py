"""Tell what happened: receipt.json from the stored outcomes of every step, and the page that shows
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

from stillhouse import config
from stillhouse.config import NonNegative
from stillhouse.data import prepared
from stillhouse.failpoints import STEPS
from stillhouse.params import parse
from stillhouse.receipt import lineage
from stillhouse.receipt.compose import compose
from stillhouse.receipt.outcomes import Outcomes
from stillhouse.receipt.page import page
from stillhouse.receipt.schema import check as check_receipt
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.tracking.redact import redact_settings
from stillhouse.workspace import StepFiles, sha256

BEFORE = STEPS[: STEPS.index("report")]
CLOCKS = (*(f"{step}/{step}.timing.json" for step in BEFORE), "export/latency.timing.json")
# What the numbers are recomputed from, and what ships.
BOUND = (
    "prepare/test.safetensors",
    "prepare/schema.json",
    "prepare/data.json",
    "validate/verdict.json",
    "teacher/teacher.json",
    "teacher/outcomes.safetensors",
    "knowledge/knowledge.json",
    "tune/trials.json",
    "distill/student.safetensors",
    "distill/student.json",
    "distill/arms.json",
    "distill/transfer.json",
    "distill/outcomes.safetensors",
    "distill/curves.json",
    "export/student.onnx",
    "export/student.int8.onnx",
    "export/edge.json",
    "export/outcomes.safetensors",
    "robustness/outcomes.safetensors",
    "robustness/robustness.json",
    "gate/verdict.json",
    "gate/outcomes.safetensors",
)
CHAMPION = "champion/champion.json"


@dataclass(frozen=True)
class Settings:
    """The section `report`.

    Attributes:
        usd_per_hour: Price of an hour of work, USD; 0: none is told.
        show_rows: Whether test rows that are pictures may stand in the receipt and on its page.
            Off, for rows may be personal: only their numbers do.
    """

    usd_per_hour: NonNegative = 0.0
    show_rows: bool = False


def run(job: Job) -> Metrics:
    """Write receipt.json and receipt.html.

    Returns:
        `receipt/gain_over_none` and `receipt/gain_over_hard` (shares) for the controls that were
        trained; `receipt/negative_flips` (share of the test rows) where a champion is in
        production.

    Raises:
        Corrupt: A stored file is not what its step wrote.
    """
    settings = job.settings(Settings, "report")
    found = outcomes(job)
    receipt = compose(
        found,
        lineage=descent(job.root, job.files.read_json("distill/arms.json").get("device", "cpu")),
        files={name: sha256(job.files.path(name)) for name in BOUND},
        settings=redact_settings(job.params),
        written_at=job.clock.now().isoformat(timespec="seconds"),
        usd_per_hour=settings.usd_per_hour,
        show_rows=settings.show_rows,
    )
    check_receipt(receipt)
    job.files.write_json("report/receipt.json", receipt)
    job.files.write_bytes("report/receipt.html", page(receipt).encode())
    return metrics(receipt)


def metrics(receipt: Mapping[str, Any]) -> Metrics:
    """Return what the step's metrics.json holds."""
    gains = {
        f"receipt/gain_over_{gain['over']}": float(gain["estimate"])
        for gain in receipt["teacher_gain"]
    }
    negative = receipt["flips"]["negative"]
    return (
        gains
        if negative is None
        else {**gains, "receipt/negative_flips": negative / receipt["data"]["rows"]["test"]}
    )


def outcomes(job: Job) -> Outcomes:
    """Read what the earlier steps stored. Errors as `StepFiles`."""
    files = job.files
    test = prepared.load(files, "test")
    exported = files.read_tensors("export/outcomes.safetensors")
    champion, gated = _champion(files), files.read_tensors("gate/outcomes.safetensors")
    return Outcomes(
        model=str(job.params["model"]),
        schema=test.schema,
        data=files.read_json("prepare/data.json"),
        inputs=test.inputs,
        targets=test.targets,
        rows=test.rows,
        validation=files.read_json("validate/verdict.json"),
        teacher=files.read_json("teacher/teacher.json"),
        teacher_logits=files.read_tensors("teacher/outcomes.safetensors")["test_logits"],
        knowledge=files.read_json("knowledge/knowledge.json"),
        studies=files.read_json("tune/trials.json")["studies"],
        student=files.read_json("distill/student.json"),
        arms=files.read_json("distill/arms.json")["arms"],
        arm_logits=files.read_tensors("distill/outcomes.safetensors"),
        curves=files.read_json("distill/curves.json"),
        edge=files.read_json("export/edge.json"),
        logits=exported["fp32_logits"],
        latency=files.read_json("export/latency.timing.json"),
        right_under=files.read_tensors("robustness/outcomes.safetensors"),
        robustness=files.read_json("robustness/robustness.json"),
        verdict=files.read_json("gate/verdict.json"),
        champion=champion,
        champion_logits=gated.get("champion_logits") if champion else None,
        slice_rows={name: rows for name, rows in gated.items() if name.startswith("slice/")},
        unlike={
            name.removeprefix("unlike/"): logits
            for name, logits in gated.items()
            if name.startswith("unlike/")
        },
        transfer=files.read_json("distill/transfer.json"),
        training=trainings(files.read_json("distill/distill.timing.json")),
        groups=test.groups if _by_group(job.params) else None,
        seconds={
            step: float(files.read_json(f"{step}/{step}.timing.json")["seconds"]) for step in BEFORE
        },
    )


def _by_group(params: Mapping[str, Any]) -> bool:
    split = (params.get("prepare") or {}).get("split") or {}
    return split.get("by") == "group"


def trainings(timing: Mapping[str, float]) -> dict[str, float]:
    """Return arm → seconds of one of its trainings, the mean of those that `distill` clocked."""
    clocked: dict[str, list[float]] = {}
    for name, seconds in timing.items():
        kind, _, rest = name.partition("/")
        if kind == "fit":
            clocked.setdefault(rest.split("/")[0], []).append(float(seconds))
    return {arm: fsum(each) / len(each) for arm, each in clocked.items()}


def _champion(files: StepFiles) -> dict[str, Any] | None:
    """The champion is laid down by the pipeline; without one there is null, or, for a step that is
    run alone, no file.
    """
    name = f".stillhouse/{CHAMPION}"
    found: dict[str, Any] | None = (
        files.workspace.read_json(name) if (files.workspace.root / name).is_file() else None
    )
    return found


def descent(root: Path, device: str) -> dict[str, Any]:
    """Return the lineage that lies beside params.yaml: git, dvc.lock, code, versions; the device
    that the student was trained on stands among the latter.
    """
    lock, code = root / "dvc.lock", root / "code.lock.json"
    return {
        "git": lineage.git(root),
        "dvc_lock": lineage.dvc_lock(lock.read_text() if lock.is_file() else None),
        "code": lineage.code(
            parse(code.read_text(), where="code.lock.json") if code.is_file() else None
        ),
        "versions": {**lineage.versions(), "device": device},
    }


def check(params: Mapping[str, Any]) -> None:
    """Check the section `report`; every other section is checked by its own step."""
    config.refuse_spaces(params.get("report"), "report")
    config.build(Settings, params.get("report"), where="report")


step = Step(
    name="report",
    run=run,
    reads=(*BOUND, *CLOCKS),
    writes=("receipt.json", "receipt.html"),
    sections=("report", *BEFORE, "release"),
    check=check,
)
