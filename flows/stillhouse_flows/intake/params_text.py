"""params.yaml for somebody's data, with comments that teach."""

import textwrap
from typing import Any

import yaml

from stillhouse_flows.intake.hints import Guess
from stillhouse_flows.intake.plan import EXAMINED, SEEDS, Plan

WIDTH = 100
MARGIN, ENOUGH = 0.03, 400  # that a student may be worse, where this many test rows can show it
TRAINED = ("fit", "sklearn")  # teachers that the project trains itself
HEAD = """\
# What is science: one section a step. Change a line and say `stillhouse run`: only what depends on
# it is computed again. `stillhouse plugins` lists every name that can stand here, and `--set a.b=c`
# tries one for one run.
"""


def flow(value: object) -> str:
    """Return YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")


def block(mapping: dict[str, Any], indent: int) -> str:
    """Return a mapping, a line a key, each value on its line."""
    return "\n".join(f"{' ' * indent}{flow(key)}: {flow(mapping[key])}" for key in mapping)


def comment(text: str, indent: int = 0) -> str:
    """Return a text as comment lines."""
    start = " " * indent + "# "
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_on_hyphens=False,
        break_long_words=False,
    )


def source_text(guess: Guess, indent: int = 2) -> str:
    """Return the `source:` of the section `prepare`."""
    source = dict(guess.source)
    if len(flow(source)) + indent + 8 <= WIDTH:
        return f"{' ' * indent}source: {flow(source)}"
    return f"{' ' * indent}source:\n{block(source, indent + 2)}"


def prepare_text(guess: Guess, plan: Plan, kind: str) -> str:
    """Return the section `prepare`, with what was seen in the data."""
    held = {
        "row": "rows are held out by their hash, duplicates together",
        "group": "whole groups are held out: nobody is in train and test",
        "time": "the latest rows are held out, as in production",
    }[plan.split["by"]]
    lines = [
        "prepare:",
        *[comment(note, 2) for note in (*guess.notes, *plan.notes)],
        f"  kind: {kind}",
        source_text(guess),
        *_positive(plan),
        f"  split: {flow(plan.split)} # {held}: {plan.rows['train']:,} / {plan.rows['val']:,} / "
        f"{plan.rows['test']:,} rows",
        f"  labelled: {flow(plan.labelled)} # train rows that the student sees with labels; null: "
        "all that have one",
        f"  unlabelled: {plan.unlabelled} # and without: the teacher's answers stand in",
    ]
    return "\n".join(lines)


def _positive(plan: Plan) -> list[str]:
    if plan.positive is None:
        return []
    return [f"  positive: {flow(plan.positive)} # the class that is looked for"]


def params_text(guess: Guess, plan: Plan, *, kind: str, model: str, plugins: list[str]) -> str:
    """Return the whole file."""
    base = plan.baseline
    metric = plan.metric
    rare = " Classes are uneven: accuracy would praise a model that misses the rare one."
    seen = (
        f"{base.name} of a few seconds reached {base.reached:.2f} on val, guessing "
        f"{base.chance:.2f} ({metric})."
    )
    return "\n".join(
        [
            HEAD + f"model: {flow(model)} # its name in the registry",
            f"plugins: {flow(plugins)}"
            + ("" if plugins else " # your own: [my_plugins.py] (uncomment a class there)"),
            "",
            prepare_text(guess, plan, kind),
            "",
            "validate: {} # expectations beside those inferred; ranges: {age: [0, 120]} refuses "
            "others",
            "",
            comment(
                "The big model. It is trained here; bring your own with {name: onnx, path: "
                "big.onnx} or {name: predictions, path: answers.npz}."
                if plan.teacher["name"] in TRAINED
                else "The big model, as it was brought; it only answers."
            ),
            comment(seen + (rare if base.rare else "")),
            "teacher:",
            block(plan.teacher, 2),
            f"  gate: {flow(plan.teacher_gate)} # below it no student is worth training",
            "",
            "knowledge: {views: 1}",
            "",
            f"tune: {{trials: {plan.trials}, workers: 1, objectives: [val/{metric}]}}",
            "",
            *_distill(plan),
            "",
            "export: {}",
            "",
            *_robustness(plan, kind),
            "",
            *_gate(plan),
            "",
            "report: {show_rows: false} # true: pictures or cells of single rows may stand in the "
            "receipt",
            "",
            "release: {approval: false} # true: a passing student waits for `stillhouse promote`",
            *_budget(plan),
            "",
        ]
    )


def _budget(plan: Plan) -> list[str]:
    if plan.hours is None:
        return []
    # YAML takes a number such as 1e+05 for text
    hours = f"{plan.hours:.4g}" if plan.hours < 1000 else f"{plan.hours:.0f}"
    return ["", f"budget: {{hours: {hours}}} # the most that the steps of a run may take"]


def _robustness(plan: Plan, kind: str) -> list[str]:
    if plan.metric == "r2":
        return ["robustness: {} # attacks need a tolerance, in the unit of the quantity"]
    return [
        "robustness: # watched below, never decides unless you say so",
        f"  attacks: [{flow(_attack(kind))}]",
        f"  rows: {EXAMINED}",
    ]


def _attack(kind: str) -> dict[str, Any]:
    """8/255 in pixels; tables and series in standard deviations of a column, or data space."""
    return {"name": "pgd", "norm": "linf", "epsilon": 0.03 if kind == "image" else 0.1}


def _method(plan: Plan) -> str:
    if plan.metric == "r2":
        return "{name: match} # to the teacher's mean; docs/methods lists others"
    if plan.metric == "map":
        return "{name: multi_label} # as sure as the teacher is of each label; or ce, its decisions"
    return (
        "{name: kd, temperature: {choice: [1, 2, 4, 8]}} # a space is searched; docs/methods lists "
        "others"
    )


def _distill(plan: Plan) -> list[str]:
    net = plan.student
    rate = "{float: [0.0005, 0.02], log: true}" if plan.search else "0.003"
    decay = "{float: [0.001, 1.0], log: true}" if plan.search else "0.01"
    said = f"{net.parameters:,} weights, {net.macs:,} multiply-accumulates a row"
    return [
        "distill:",
        f"  student: {flow(net.spec)} # {said}",
        f"  optimizer: {{name: adamw, lr: {rate}, weight_decay: {decay}}}",
        f"  method: {_method(plan)}",
        "  supervised: 0.3 # loss = supervised x CE on labelled rows + (1 - supervised) x method "
        "on all rows",
        f"  epochs: {plan.epochs}",
        f"  batch: {plan.batch}",
        f"  seeds: {SEEDS} # trainings of each arm: the student, `none` (labels only), `hard` "
        "(decisions only)",
    ]


def _gate(plan: Plan) -> list[str]:
    bound = (
        f"    - {{metric: test/{plan.metric}, at_least: {plan.student_bound:g}}} # of the "
        f"population, not only of {plan.rows['test']:,} test rows"
    )
    paired = {"r2": "rmse", "auc": "auc", "map": "exact_match"}.get(plan.metric, "accuracy")
    under = "exact_match" if plan.metric == "map" else "accuracy"
    shown = plan.metric != "r2" and plan.baseline.counted(plan.rows["test"]) >= ENOUGH
    margin = f", margin: {MARGIN:g}" if shown else ""
    may = " # what a smaller model may cost" if shown else ""
    watched = [f"    - {{metric: robust/linf/{under}, at_least: 0.3, gates: false}}"]
    watched = watched if plan.metric != "r2" else []
    return [
        "gate:",
        comment(
            "Every rule is a test at a stated error rate; undecided holds. Without a margin it is "
            "the smallest that this many rows can show.",
            2,
        ),
        "  rules:",
        bound,
        f"    - {{metric: test/{paired}, against: teacher{margin}}}{may}",
        f"    - {{metric: test/{paired}, against: none{margin}}} # margin: 0 demands that the "
        "teacher paid",
        f"    - {{metric: test/{paired}, against: champion}}",
        *watched,
    ]
