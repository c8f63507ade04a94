"""A small project whose steps have all run: stored outcomes that agree with one another, in any
state that a receipt can tell.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from stillhouse import environment
from stillhouse.clock import ManualClock
from stillhouse.data.dataset import Dataset
from stillhouse.data.measures import measures
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.statistics import statistics
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge
from stillhouse.steps.step import Job
from stillhouse.validation.drift import Drift, drift
from stillhouse.workspace import StepFiles, Workspace

STEPS = (
    "prepare",
    "validate",
    "teacher",
    "knowledge",
    "tune",
    "distill",
    "export",
    "robustness",
    "gate",
)
STEPS_TAKEN = 800  # 400 epochs of 200 rows in batches of 128
RULES = (
    {"metric": "test/accuracy", "at_least": 0.8},
    {"metric": "test/accuracy", "against": "teacher", "margin": 0.1},
    {"metric": "test/accuracy", "against": "none", "margin": 0.0},
    {"metric": "test/accuracy", "against": "champion", "margin": 0.05},
    {"metric": "edge/size_kb", "at_most": 64},
    {"metric": "test/ece", "at_most": 0.02, "gates": False},
    {"metric": "robust/linf/accuracy", "at_least": 0.6, "gates": False},
)


@dataclass(frozen=True)
class Plan:
    """What a project looks like; every share is of the test rows."""

    classes: tuple[str, ...] = ("ash", "birch", "cedar")
    shape: tuple[int, ...] = (1, 8, 8)
    rows: int = 240
    seeds: int = 2
    teacher: float = 0.97
    student: float = 0.95
    hard: float = 0.91
    none: float = 0.84
    champion: float | None = 0.93
    rules: tuple[dict, ...] = RULES
    attacks: bool = True
    corruptions: tuple[str, ...] = ("blur", "contrast", "noise")
    int8: bool = True
    controls: bool = True
    trials: int = 8
    show_rows: bool = True
    unlabelled: int = 0
    model: str = "woods"
    warnings: tuple[str, ...] = ()
    usd_per_hour: float = 0.12
    alarm: bool = False
    transfer: dict | None = None
    plain: float | None = None
    sets: dict = field(default_factory=dict)


def answers(
    targets: Tensor, classes: int, share: float, seed: int, wrong: Tensor | None = None
) -> Tensor:
    """Return logits [N, C] that are right on about `share` of the rows; rows that are hard for one
    are hard for all, and wrong answers tend to agree.
    """
    generator = torch.Generator().manual_seed(seed)
    hardness = torch.rand(len(targets), generator=torch.Generator().manual_seed(77))
    luck = torch.rand(len(targets), generator=generator)
    miss = 0.75 * hardness + 0.25 * luck > torch.quantile(0.75 * hardness + 0.25 * luck, share)
    other = (targets + 1 + (torch.arange(len(targets)) % 7 == 0)) % classes
    said = torch.where(miss, other, targets.clamp(min=0))
    sure = torch.where(miss, 0.5 + 2 * luck, 2.5 + 4 * luck)
    return torch.nn.functional.one_hot(said, classes) * sure[:, None] + 0.05 * torch.randn(
        len(targets), classes, generator=generator
    )


def make(root: Path, plan: Plan | None = None) -> Job:
    """Write the artifacts of every step before `report`, and return the job that reports them."""
    plan = plan or Plan()
    house, params = Workspace(root), _params(plan)
    targets = _targets(plan)
    _prepare(house, plan, targets)
    logits = _models(house, plan, targets)
    found = _gated(house, plan, targets, logits)
    house.write_json("artifacts/gate/verdict.json", found)
    for at, step in enumerate(STEPS):
        house.write_json(
            f"artifacts/{step}/{step}.timing.json", {"seconds": round(0.4 + 1.7 * at, 2)}
        )
    return Job(StepFiles(house, "report"), params, environment.place(root), clock=ManualClock())


def _targets(plan: Plan) -> Tensor:
    targets = torch.arange(plan.rows) % len(plan.classes)
    targets[: plan.unlabelled] = -1
    return targets


def _params(plan: Plan) -> dict:
    return {
        "model": plan.model,
        "plugins": [],
        "distill": {"method": {"name": "kd", "temperature": 4.0}},
        "gate": {"rules": list(plan.rules)},
        "report": {"usd_per_hour": plan.usd_per_hour, "show_rows": plan.show_rows},
        **plan.sets,
    }


def _prepare(house: Workspace, plan: Plan, targets: Tensor) -> None:
    channels = plan.shape[0] if len(plan.shape) == 3 else plan.shape[-1]
    features = tuple(Feature(f"feature {i}", low=0.0, high=1.0) for i in range(channels))
    schema = Schema(
        "image" if len(plan.shape) == 3 else "table", plan.shape, plan.classes, features
    )
    pictures = torch.rand(
        len(plan.classes), *plan.shape, generator=torch.Generator().manual_seed(3)
    )
    noise = torch.rand(len(targets), *plan.shape, generator=torch.Generator().manual_seed(4))
    inputs = 0.8 * pictures[targets.clamp(min=0)] + 0.2 * noise
    ids = 1000 + 3 * torch.arange(len(targets))
    house.write_json("artifacts/prepare/schema.json", schema.as_dict())
    rows = {"train": 600, "val": 80, "test": len(targets), "labelled": 100, "unlabelled": 100}
    house.write_json(
        "artifacts/prepare/data.json",
        {"fingerprint": "d" * 64, "source": "made", "rows": rows, "warnings": list(plan.warnings)},
    )
    _tensors(house, "prepare/test.safetensors", {"inputs": inputs, "targets": targets, "rows": ids})
    expectation = {
        "split": "train",
        "column": "feature 0",
        "expectation": "expect_column_values_to_be_between",
        "arguments": "0 to 1",
        "severity": "warning",
    }
    passed = [
        {**expectation, "passed": True, "observed": "0 unexpected", "count": 0, "rows": []}
        for _ in range(9)
    ]
    failed = {
        **expectation,
        "passed": False,
        "observed": "2 unexpected",
        "count": 2,
        "rows": [4, 9],
    }
    house.write_json(
        "artifacts/validate/verdict.json",
        {
            "passed": True,
            "expectations": [*passed, failed] if plan.warnings else passed,
            "leakage": {},
        },
    )


def _models(house: Workspace, plan: Plan, targets: Tensor) -> dict[str, Tensor]:
    classes = len(plan.classes)
    teacher = answers(targets, classes, plan.teacher, seed=1)
    _tensors(
        house,
        "teacher/outcomes.safetensors",
        {"val_logits": teacher[:80].clone(), "test_logits": teacher},
    )
    house.write_json(
        "artifacts/teacher/teacher.json",
        {"name": "fit", "parameters": 84_234, "fingerprint": "7" * 64},
    )
    house.write_json(
        "artifacts/knowledge/knowledge.json",
        {"fingerprint": "c" * 64, "rows": 200, "views": 1, "bytes": 4000},
    )
    arms = {
        "student": plan.student,
        **({"none": plan.none, "hard": plan.hard} if plan.controls else {}),
    }
    stored = {
        f"{arm}/{s}/test_logits": answers(
            targets, classes, share - 0.01 * (s % 3), seed=10 * at + s
        )
        for at, (arm, share) in enumerate(arms.items())
        for s in range(plan.seeds)
    }
    stored |= {name.replace("test", "val"): logits[:80].clone() for name, logits in stored.items()}
    _tensors(house, "distill/outcomes.safetensors", stored)
    house.write_json(
        "artifacts/distill/arms.json",
        {
            "arms": [
                {
                    "name": arm,
                    "settings": {},
                    "seeds": list(range(plan.seeds)),
                    "steps": STEPS_TAKEN,
                }
                for arm in arms
            ]
        },
    )
    house.write_json("artifacts/distill/transfer.json", plan.transfer)
    house.write_json(
        "artifacts/distill/student.json",
        {
            "architecture": {"name": "mlp", "width": 32, "depth": 2},
            "parameters": 3_466,
            "macs": 3_392,
            "method": {"name": "kd"},
        },
    )
    house.write_bytes("artifacts/distill/student.safetensors", b"weights")
    house.write_json(
        "artifacts/distill/curves.json",
        {arm: {str(s): _curve(share, s) for s in range(plan.seeds)} for arm, share in arms.items()},
    )
    house.write_json(
        "artifacts/tune/trials.json",
        {"studies": {arm: _study(plan, share) for arm, share in arms.items()}},
    )
    shipped = stored["student/0/test_logits"]
    _exported(house, plan, targets, shipped)
    _robustness(house, plan, targets, shipped)
    named = {
        "student": shipped,
        "teacher": teacher,
        **{arm: stored[f"{arm}/0/test_logits"] for arm in arms if arm != "student"},
    }
    return (
        named
        if plan.champion is None
        else {**named, "champion": answers(targets, classes, plan.champion, seed=90)}
    )


def _curve(share: float, seed: int) -> dict:
    accuracy = [share * (1 - 0.7 * 0.93 ** (e + seed)) for e in range(120)]
    return {
        "loss": [1 / (e + 1) for e in range(120)],
        "val_accuracy": accuracy,
        "step": [STEPS_TAKEN * (e + 1) // 120 for e in range(120)],
    }


def _study(plan: Plan, share: float) -> dict:
    if not plan.trials:
        return {"settings": {}, "best": None, "objectives": ["val/accuracy"], "trials": []}
    reached = [
        share - 0.08 + 0.08 * ((5 * t) % plan.trials) / plan.trials for t in range(plan.trials)
    ]
    trials = [
        {
            "number": t,
            "state": "complete",
            "values": {"val/accuracy": v},
            "params": {"method.temperature": 1.5 + t, "optimizer.lr": 0.003},
        }
        for t, v in enumerate(reached)
    ]
    return {
        "settings": {},
        "best": max(range(plan.trials), key=lambda t: reached[t]),
        "objectives": ["val/accuracy"],
        "trials": trials,
    }


def _beside(plan: Plan, attacks: list[dict]) -> dict:
    """A plain student that withstands little."""
    if plan.plain is None:
        return {}
    kept = [plan.plain - 0.05, plan.plain, plan.plain + 0.05]
    told = [{**one, "accuracy": kept} for one in attacks]
    return {"plain": {"clean": [0.9, 0.96, 0.99], "attacks": told, "worst": {"linf": kept}}}


def _exported(house: Workspace, plan: Plan, targets: Tensor, logits: Tensor) -> None:
    small = answers(targets, len(plan.classes), plan.student - 0.004, seed=0)
    sizes = {
        "onnx_bytes": 14_620,
        "int8_bytes": 8_140 if plan.int8 else None,
        "int8_reason": None if plan.int8 else "export.int8 is off.",
    }
    agrees = (
        {
            "int8_agreement": float((small.argmax(1) == logits.argmax(1)).double().mean()),
            "int8_accuracy": 0.94,
        }
        if plan.int8
        else {"int8_agreement": None, "int8_accuracy": None}
    )
    house.write_json(
        "artifacts/export/edge.json",
        {
            **sizes,
            **agrees,
            "parity_max_error": 2.4e-6,
            "macs": 3_392,
            "parameters": 3_466,
            "opset": 18,
        },
    )
    house.write_bytes("artifacts/export/student.onnx", b"\x08" * 14_620)
    house.write_bytes("artifacts/export/student.int8.onnx", b"\x08" * 8_140 if plan.int8 else b"")
    _tensors(
        house,
        "export/outcomes.safetensors",
        {"fp32_logits": logits, **({"int8_logits": small} if plan.int8 else {})},
    )
    clock = {
        "p50_ms": 0.0071,
        "p95_ms": 0.0124,
        "calls": 500,
        "histogram": {
            "edges_ms": [0.006 + 0.0004 * i for i in range(21)],
            "counts": [5 * (i + 1) % 61 + 200 // (i + 1) for i in range(20)],
        },
    }
    house.write_json(
        "artifacts/export/latency.timing.json",
        {
            "fp32": clock,
            "int8": {**clock, "p50_ms": 0.0093, "p95_ms": 0.016} if plan.int8 else None,
        },
    )


CLEAR = {"name": "draws", "verdict": "clear", "value": 0.0, "bound": 0.0, "says": "Nothing."}
ALARM = {
    "name": "zero gradients",
    "verdict": "alarm",
    "value": 0.31,
    "bound": 0.1,
    "says": "31% of the rows have no gradient at all.",
}
CERTIFIED = {
    "norm": "linf",
    "epsilon": 0.1,
    "method": "interval bounds",
    "certified": [0.1, 0.12, 0.2],
    "attacked": [0.5, 0.64, 0.7],
}


def _robustness(house: Workspace, plan: Plan, targets: Tensor, logits: Tensor) -> None:
    right, hardness = (
        logits.argmax(1) == targets,
        torch.rand(len(targets), generator=torch.Generator().manual_seed(5)),
    )
    outcomes = {"clean": right}
    attacks, curves = [], []
    if plan.attacks:
        for label, name, norm, epsilon, share in (
            ("fgsm_linf_0.1", "fgsm", "linf", 0.1, 0.72),
            ("pgd_linf_0.1", "pgd", "linf", 0.1, 0.64),
            ("pgd_l2_0.5", "pgd", "l2", 0.5, 0.7),
        ):
            outcomes[f"attack/{label}"] = right & (hardness < share)
            attacks.append(
                {
                    "label": label,
                    "name": name,
                    "norm": norm,
                    "epsilon": epsilon,
                    "settings": {},
                    "accuracy": [0, share, 1],
                }
            )
        epsilons, shares = [0.0, 0.025, 0.05, 0.1, 0.15], [1.0, 0.93, 0.84, 0.64, 0.4]
        curves = [
            {
                "label": "pgd_linf_0.1",
                "norm": "linf",
                "epsilon": epsilons,
                "accuracy": [
                    [s - 0.04, s * float(right.double().mean()), min(1.0, s + 0.03)] for s in shares
                ],
            }
        ]
    for at, name in enumerate(plan.corruptions):
        for severity in range(1, 6):
            outcomes[f"corruption/{name}/{severity}"] = right & (
                hardness < 1 - 0.03 * (at + 1) * severity
            )
    _tensors(
        house,
        "robustness/outcomes.safetensors",
        {name: value.to(torch.uint8) for name, value in outcomes.items()},
    )
    missing = (
        [] if plan.attacks else [{"name": "attacks", "reason": "robustness.attacks is empty."}]
    )
    house.write_json(
        "artifacts/robustness/robustness.json",
        {
            "attacks": attacks,
            "curves": curves,
            "corruptions": [],
            "not_measured": missing,
            "beside": _beside(plan, attacks),
            "masking": [ALARM, CLEAR, {**CLEAR, "verdict": "not applicable"}] if attacks else [],
            "certified": CERTIFIED if attacks else {"reason": "no ball is attacked."},
        },
    )


def _gated(house: Workspace, plan: Plan, targets: Tensor, logits: dict[str, Tensor]) -> dict:
    robust = house.artifacts / "robustness/outcomes.safetensors"
    from stillhouse.workspace import load_tensors

    norms = {"fgsm_linf_0.1": "linf", "pgd_linf_0.1": "linf", "pgd_l2_0.5": "l2"}
    sliced = _slices(plan, targets, logits["student"]) if plan.controls else {}
    unlike = _unlike(plan) if plan.controls else {}
    seen = Outcomes(
        targets,
        logits,
        robust=load_tensors(robust),
        norms=norms,
        exact={"edge/size_kb": 14.62},
        classes=plan.classes,
        slices=sliced,
        unlike=unlike,
    )
    asked = {rule["metric"] for rule in plan.rules if "metric" in rule}
    evidence = collect(seen, asked, champion=None if plan.champion is None else "version 6")
    champion = (
        None
        if plan.champion is None
        else {"head": 9, "version": 6, "fingerprint": "6" * 64, "manifest": "m" * 64}
    )
    house.write_json(".stillhouse/champion/champion.json", champion)
    _tensors(
        house,
        "gate/outcomes.safetensors",
        {
            **({"champion_logits": logits["champion"]} if plan.champion is not None else {}),
            **{f"slice/{at}": rows.to(torch.uint8) for at, rows in enumerate(sliced.values())},
            **{f"unlike/{kind}": told for kind, told in unlike.items()},
        },
    )
    return {
        **judge(parse(plan.rules), evidence).as_dict(),
        "student": "3f9c2e1a" + "0" * 56,
        "champion": champion,
        "drift": None if champion is None else _drift(house).as_dict(),
        "slices": [_told(name, rows, targets, logits["student"]) for name, rows in sliced.items()],
        "rows": {"frozen": 500, "gone": 2, "new": 40} if plan.champion is not None else None,
        "life": None,
    }


def _unlike(plan: Plan) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {"noise": 4 * torch.rand(300, len(plan.classes), generator=generator)}


def _slices(plan: Plan, targets: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """Every seventh row, and a class, whose name comes from data and may be hostile; where an alarm
    is wanted, rows that are mostly wrong.
    """
    wrong = (logits.argmax(1) != targets) | (torch.arange(len(targets)) < 3)
    return {
        **({"feature 2 > 0.9": wrong} if plan.alarm else {}),
        "feature 0 > 0.7 and cluster 3, mostly x": torch.arange(len(targets)) % 7 == 0,
        f"class {plan.classes[0]}": targets == 0,
    }


def _told(name: str, rows: Tensor, targets: Tensor, logits: Tensor) -> dict:
    inside = rows & (targets >= 0)
    wrong = inside & (logits.argmax(1) != targets)
    return {
        "name": name,
        "rows": int(inside.sum()),
        "right": int((inside & ~wrong).sum()),
        "val_rows": 12,
        "val_wrong": 5,
        "wrong_rows": (1000 + 3 * torch.nonzero(wrong).flatten()).tolist(),
    }


def _drift(house: Workspace) -> Drift:
    """Compare the rows with a champion's that were brighter."""
    from stillhouse.workspace import load_tensors

    found = load_tensors(house.artifacts / "prepare/test.safetensors")
    schema = Schema.from_dict(house.read_json("artifacts/prepare/schema.json"))
    now = Dataset(found["inputs"], found["targets"], schema, found["rows"])
    before = replace(now, inputs=now.inputs.sqrt())
    return drift(
        statistics(before),
        statistics(now),
        measures(now),
        targets=now.targets.numpy(),
        against="version 6",
    )


def _tensors(house: Workspace, name: str, tensors: dict[str, Tensor]) -> None:
    from stillhouse.workspace import dump_tensors

    house.write_bytes(f"artifacts/{name}", dump_tensors(tensors))
