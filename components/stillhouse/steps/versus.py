"""The champion attacked as the student was, for rules such as `{metric: robust/linf/accuracy,
against: champion, margin: 0.05}`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset, known
from stillhouse.edge.session import Session
from stillhouse.evaluation.sequential_pairs import PairedForesight
from stillhouse.gating.evidence import Rows, Settled
from stillhouse.gating.metrics import find
from stillhouse.gating.rule import Rule
from stillhouse.gating.rules.paired import Paired
from stillhouse.gating.verdict import decides
from stillhouse.models import onnx_file
from stillhouse.models.onnx_graph import Graph
from stillhouse.robustness.case import Case, make_case
from stillhouse.robustness.deployed import Deployed, twin_of
from stillhouse.robustness.kept import Kept
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.versus import Versus, versus
from stillhouse.steps.champion import CHAMPION_MODEL, Champion
from stillhouse.steps.step import Job
from stillhouse.workspace import sha256

READ = ("robustness/robustness.json", "robustness/outcomes.safetensors", "prepare/test.safetensors")


@dataclass(frozen=True)
class Against:
    """What the champion withstood, by norm.

    Attributes:
        rows: Student and champion, row by row.
        why_not: Why it could not be attacked.
        order: Positions of the rows that were attacked, where they are not all.
    """

    rows: dict[str, Rows | Settled] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)
    order: dict[str, Tensor] = field(default_factory=dict)

    def kept(self) -> dict[str, Tensor]:
        """Return the outcomes by row, as they are stored."""
        told = {
            f"champion/{norm}": torch.from_numpy(seen.outcomes["champion"]).to(torch.uint8)
            for norm, seen in self.rows.items()
        }
        return told | {f"champion/{norm}/rows": rows for norm, rows in self.order.items()}


def against(
    job: Job,
    rules: Sequence[Rule],
    champion: Champion,
    test: Dataset,
    level: float,
    *,
    frozen: bool,
) -> Against:
    """Attack the champion under every norm for which a rule compares with it.

    A comparison stops when its verdict is foreseen, if one rule alone asks for it, decides, and
    says by how much the student may be worse, and if the champion was tested on all of the rows.
    Both are judged under the attacks that both were under: none that another model leads, such as
    the teacher, which may know one of them better than the other.

    Args:
        job: Whose `robustness` says how often, at most, a verdict may be foreseen wrongly.
        rules: Of the gate.
        champion: In production.
        test: Today's rows.
        level: The strictest at which a rule may be judged.
        frozen: Whether the champion was tested on all of them, as far as is known.
    """
    asked: dict[str, list[Rule]] = {}
    for rule in rules:
        metric = find(rule.metric)
        if rule.against == "champion" and metric is not None and metric.champion_only:
            asked.setdefault(rule.metric.split("/")[1], []).append(rule)
    if not asked or champion.logits is None:
        return Against()
    examined = job.files.read_json("robustness/robustness.json")
    outcomes = job.files.read_tensors("robustness/outcomes.safetensors")
    subject, no_gradient = _subject(job, examined, test)
    kept = Kept(job.files.workspace, _identity(job))
    found = Against()
    delta = float((job.params.get("robustness") or {}).get("delta", 0.01))
    for norm, mine in sorted(asked.items()):
        if norm not in {one["norm"] for one in examined["attacks"]}:
            continue  # robustness tells why
        own = _cases(examined, norm)
        if not own or (no_gradient and any("gradients" in case.attack.needs for case in own)):
            why = no_gradient or f"all attacks under {norm} are led by another model."
            found.why_not[norm] = f"the champion cannot be attacked as the student was: {why}"
            continue
        kept_rows = [outcomes[f"attack/{case.label}"] == 1 for case in own]
        student = torch.stack(kept_rows).all(dim=0)
        sole = mine[0] if len(mine) == 1 and frozen and decides(mine[0]) else None
        margin = sole.margin if isinstance(sole, Paired) else None
        foresight = None if margin is None else PairedForesight(len(student), margin, level, delta)
        seen = versus(subject, own, student, foresight, kept.keep, job.progress)
        if foresight is None or seen.said is None:
            both = {"student": student.numpy(), "champion": seen.whole.numpy()}
            found.rows[norm] = Rows(both)
        else:
            found.rows[norm] = _settled(seen, student, foresight)
            found.order[norm] = seen.order
    kept.forget()
    return found


def _settled(seen: Versus, student: Tensor, foresight: PairedForesight) -> Settled:
    outcomes = {"student": student[seen.order].numpy(), "champion": seen.still.numpy()}
    return Settled(
        outcomes,
        foresight.total,
        foresight.margin,
        foresight.level,
        foresight.delta,
        passes=seen.said == "pass",
    )


def _subject(job: Job, examined: Mapping[str, Any], test: Dataset) -> tuple[Subject, str]:
    """Return the champion with the rows on which the student was attacked, and why there is no
    gradient; empty if there is one.
    """
    positions = examined.get("positions")
    rows = (
        torch.nonzero(known(test.targets)).flatten()
        if positions is None
        else torch.tensor(positions)
    )
    chosen = test.take(rows)
    data = (job.root / CHAMPION_MODEL).read_bytes()
    answer = Session(data, where=CHAMPION_MODEL, schema=test.schema).logits
    twin, why = twin_of(
        lambda: Graph(onnx_file.read(data, CHAMPION_MODEL), CHAMPION_MODEL).eval(),
        answer,
        chosen.inputs,
    )
    space = Space.of(test.schema, prepared.load(job.files, "train").inputs)
    seed = int(examined.get("seed", 0))
    subject = Subject(Deployed(answer, twin), answer, chosen.inputs, chosen.targets, space, seed)
    return subject, why


def _cases(examined: Mapping[str, Any], norm: str) -> list[Case]:
    """Return the attacks that were made under a norm, but those that another model leads."""
    told = [one for one in examined["attacks"] if one["norm"] == norm and one["name"] != "probe"]
    made = [replace(make_case(_spec(one), "robustness"), label=str(one["label"])) for one in told]
    return [case for case in made if not case.attack.on_surrogate]


def _spec(told: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: told[key] for key in ("name", "norm", "epsilon")}
    return {**own, **told["settings"]}


def _identity(job: Job) -> str:
    """Return what an outcome hangs on beside the attack: champion, rows, seed, and the code."""
    lock = job.root / "code.lock.json"
    told = [sha256(job.files.path(name)) for name in READ]
    code = sha256(lock) if lock.is_file() else ""
    return json.dumps(["champion", sha256(job.root / CHAMPION_MODEL), *told, code])
