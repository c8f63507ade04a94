"""Write the student as the file that a device runs, as int8 too, and hold both against the model
that was trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from stillhouse import config
from stillhouse.architectures.build import parameters
from stillhouse.config import Count, Positive, Spec
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset, known
from stillhouse.edge.exporter import Exporter
from stillhouse.edge.latency import measure
from stillhouse.edge.parity import Parity, parity, require
from stillhouse.edge.quantize import Quantized, quantize
from stillhouse.edge.session import CHUNK, Session
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import CLASSIFICATION, MULTI_LABEL, Regression, task_of
from stillhouse.models.access import accept
from stillhouse.models.macs import macs
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.steps.student import READS as STUDENT
from stillhouse.steps.student import load_student

READS = (*STUDENT, "prepare/train.safetensors", "prepare/test.safetensors")
WRITES = (
    "student.onnx",
    "student.int8.onnx",
    "edge.json",
    "outcomes.safetensors",
    "latency.timing.json",
)


@dataclass(frozen=True)
class Settings:
    """The section `export`.

    Attributes:
        exporter: A plugin.
        int8: Whether to make a quantised form too.
        calibration: At most so many of the train rows that the student saw show the quantiser each
            activation's range.
        tolerance: Largest error of an exported logit, as a share of the largest logit, or of 1 if
            that is larger.
    """

    exporter: Spec = field(default_factory=lambda: {"name": "onnx"})
    int8: bool = True
    calibration: Count = 256
    tolerance: Positive = 1e-4


@dataclass(frozen=True)
class Exported:
    """The two files and what they answer to the test rows.

    Attributes:
        fp32: Bytes.
        int8: Bytes, or why there are none.
        expected: The trained model's logits [N, C].
        fp32_logits: [N, C].
        int8_logits: [N, C], or None.
    """

    fp32: bytes
    int8: Quantized
    expected: Tensor
    fp32_logits: Tensor
    int8_logits: Tensor | None

    @property
    def parity(self) -> Parity:
        """The float32 file against the trained model."""
        return parity(self.expected, self.fp32_logits)


def run(job: Job) -> Metrics:
    """Write both files, what they answer, and how they differ from the trained student.

    Returns:
        `edge/size_kb`, `edge/parity_max_error`, `edge/macs`, `edge/parameters`; with int8
        `edge/int8_size_kb`, `edge/int8_agreement` (of classes or labels), `edge/int8_accuracy`
        (`…_mae` of a quantity, `…_exact_match` of several labels a row).

    Raises:
        ExportFailed: The format has no words for the model, or the file answers otherwise than the
            model.
    """
    settings = job.settings(Settings, "export")
    exporter: Exporter = config.plugin("exporters", settings.exporter, where="export.exporter")
    model, seen, test = (
        load_student(job.files),
        prepared.picked(job.files),
        prepared.load(job.files, "test"),
    )
    accept(settings.exporter["name"], exporter.accepts, test.schema.kind)
    data = exporter.export(model, test.schema)
    small = (
        quantize(data, seen.inputs[: settings.calibration])
        if settings.int8
        else Quantized(b"", "export.int8 is off.")
    )
    fp32, int8 = Session(data), _session(small)
    made = Exported(
        data,
        small,
        logits_of(model, test.inputs, CHUNK),
        fp32.logits(test.inputs),
        int8.logits(test.inputs) if int8 else None,
    )
    require(made.parity, made.expected, settings.tolerance)
    about = describe(made, test, fp32)
    about |= {
        "macs": macs(model, test.schema.shape),
        "parameters": parameters(model),
        "exporter": dict(settings.exporter),
    }
    _write(job, made, about)
    _time(job, fp32, int8, test)
    return _metrics(about)


def _session(small: Quantized) -> Session | None:
    return Session(small.data, where="student.int8.onnx") if small.data else None


def describe(made: Exported, test: Dataset, fp32: Session) -> dict[str, Any]:
    """Return sizes and agreements, ready for JSON; what needs int8 is null without it."""
    small, task = made.int8_logits, task_of(test.schema)
    told = known(test.targets)

    def measured(outputs: Tensor) -> float:
        return task.measure.of_merit(
            float(task.merit(outputs[told], test.targets[told]).double().mean())
        )

    return {
        "onnx_bytes": len(made.fp32),
        "int8_bytes": len(made.int8.data) or None,
        "int8_reason": made.int8.reason or None,
        "parity_max_error": made.parity.max_error,
        "parity_agreement": task.agreement(made.fp32_logits, made.expected),
        task.measure.key: measured(made.fp32_logits),
        "int8_agreement": task.agreement(small, made.fp32_logits) if small is not None else None,
        f"int8_{task.measure.key}": None if small is None else measured(small),
        "opset": fp32.opset,
        "inputs": fp32.inputs,
        "outputs": fp32.outputs,
        "chunk": CHUNK,
    }


def _write(job: Job, made: Exported, about: dict[str, Any]) -> None:
    job.files.write_bytes("export/student.onnx", made.fp32)
    job.files.write_bytes("export/student.int8.onnx", made.int8.data)
    job.files.write_json("export/edge.json", about)
    outcomes = {"fp32_logits": made.fp32_logits} | (
        {} if made.int8_logits is None else {"int8_logits": made.int8_logits}
    )
    job.files.write_tensors("export/outcomes.safetensors", outcomes)


def _time(job: Job, fp32: Session, int8: Session | None, test: Dataset) -> None:
    """Clocks go to files of their own: no number that decides depends on them."""
    row = test.inputs[:1]
    calls = {"fp32": lambda: fp32.ask(row)} | ({"int8": lambda: int8.ask(row)} if int8 else {})
    found = measure(calls, job.clock)
    small = found.get("int8")
    stored = {"fp32": found["fp32"].as_dict(), "int8": small.as_dict() if small else None}
    job.files.write_json("export/latency.timing.json", stored)
    job.timing.update(
        {"edge/latency_ms_p50": found["fp32"].p50_ms, "edge/latency_ms_p95": found["fp32"].p95_ms}
    )
    if small:
        job.timing.update(
            {"edge/int8_latency_ms_p50": small.p50_ms, "edge/int8_latency_ms_p95": small.p95_ms}
        )


MEASURED = tuple(task.measure.key for task in (CLASSIFICATION, Regression(), MULTI_LABEL))


def _metrics(about: Mapping[str, Any]) -> Metrics:
    plain = {
        f"edge/{name}": about[name]
        for name in (
            "parity_max_error",
            "parity_agreement",
            *MEASURED,
            "int8_agreement",
            *(f"int8_{name}" for name in MEASURED),
            "macs",
            "parameters",
        )
        if name in about
    }
    sizes = {
        f"edge/{name}_kb": about[key]
        for name, key in (("size", "onnx_bytes"), ("int8_size", "int8_bytes"))
    }
    kilobytes = {name: value / 1000 for name, value in sizes.items() if value is not None}
    return {
        **{name: float(value) for name, value in plain.items() if value is not None},
        **kilobytes,
    }


def check(params: Mapping[str, Any]) -> None:
    """Check the section and the exporter's settings; no model is read."""
    config.refuse_spaces(params.get("export"), "export")
    settings = config.build(Settings, params.get("export"), where="export")
    config.check_spec("exporters", settings.exporter, where="export.exporter")


step = Step(name="export", run=run, reads=READS, writes=WRITES, sections=("export",), check=check)
