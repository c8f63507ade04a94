"""What an example came to, beside a straight line on the same labelled rows; the tables in the READMEs are written by this file alone."""

import json
import math
import platform
import re
from importlib.metadata import version
from pathlib import Path

from stillhouse import __version__
from stillhouse.data import prepared
from stillhouse.data.dataset import UNLABELLED
from stillhouse.evaluation.intervals import proportion
from stillhouse.evaluation.metrics import balanced_accuracy, correct
from stillhouse.teachers.sklearn import Sklearn
from stillhouse.teachers.teacher import Lesson
from stillhouse.workspace import StepFiles, Workspace, load_tensors

START, END = "<!-- measured by examples/measure.py -->", "<!-- end -->"


def measured(project: Path) -> dict:
    """Return the numbers of an example's last run, with a linear model's."""
    receipt = json.loads((project / "artifacts/report/receipt.json").read_text())
    files = StepFiles(Workspace(project), "report")
    test, picked = prepared.load(files, "test"), prepared.picked(files)
    known = test.targets != UNLABELLED
    answers = {
        name: load_tensors(project / f"artifacts/{name}/outcomes.safetensors")
        for name in ("teacher", "distill")
    }
    line = linear(picked, test)[known]
    targets = test.targets[known]
    said = {
        "teacher": answers["teacher"]["test_logits"][known],
        **{
            arm: answers["distill"][f"{arm}/0/test_logits"][known]
            for arm in ("student", "none", "hard")
        },
    }
    arms = {arm["name"]: arm for arm in receipt["arms"]}
    gain = {found["over"]: found for found in receipt["teacher_gain"]}
    marks = {name: balanced_accuracy(logits, targets) for name, logits in said.items()}
    rows = [
        ("teacher", receipt["teacher"]["test_accuracy"], marks["teacher"]),
        ("student", arms["student"]["test_accuracy"], marks["student"]),
        *(
            (f"control {name}", arms[name]["test_accuracy"], marks[name])
            for name in ("none", "hard")
        ),
        ("a straight line", list(_share(line, targets)), balanced_accuracy(line, targets)),
    ]
    return {
        "arms": [
            {"name": name, "accuracy": accuracy, "balanced": balanced}
            for name, accuracy, balanced in rows
        ],
        "rows": receipt["data"]["rows"],
        "student": {
            key: receipt["student"][key] for key in ("name", "parameters", "macs", "bytes")
        },
        "teacher": receipt["teacher"]["name"],
        "teacher_parameters": receipt["teacher"]["parameters"],
        "gain_over_none": [gain["none"]["estimate"], *gain["none"]["interval"]],
        "over_the_line": list(_paired(said["student"], line, targets)),
        "verdict": receipt["verdict"],
        "seconds": round(receipt["cost"]["seconds"]),
        "versions": {
            "stillhouse": __version__,
            "torch": version("torch"),
            "python": platform.python_version(),
        },
        "machine": f"{platform.machine()}, {platform.system()}, one thread",
    }


def linear(picked, test):
    """Return log-probabilities of test by logistic regression on the rows that the student saw with labels, encoded as for a net."""
    model = Sklearn(estimator="logistic_regression")
    lesson = Lesson(picked.labelled, test, Path(), Path(), 0, lambda done, total, note: None)
    return model.recall(model.learn(lesson), test.schema).logits(test.inputs, test.rows)


def _share(logits, targets):
    right = correct(logits, targets)
    return proportion(int(right.sum()), len(right))


def _paired(one, other, targets):
    """Return (estimate, low, high) of the difference in accuracy on the same rows, 95 %."""
    won, lost = correct(one, targets), correct(other, targets)
    n, more, fewer = len(targets), int((won & ~lost).sum()), int((lost & ~won).sum())
    estimate = (more - fewer) / n
    half = 1.96 * math.sqrt(max((more + fewer) - n * estimate**2, 0)) / n
    return estimate, estimate - half, estimate + half


def advice(found: dict) -> str:
    """Return whether distilling paid here, in a sentence."""
    line, gain = found["over_the_line"], found["gain_over_none"]
    if line[1] <= 0:
        return f"**Do not distil here**: a straight line on the same labels is as good (student − line: {points(line)} points). Ship the line."
    if gain[1] <= 0:
        return f"**Do not distil here**: labels alone do as well (teacher's gain: {points(gain)} points)."
    return f"**Distil**: the teacher is worth {points(gain)} points over labels alone, and the student beats a straight line by {points(line)}."


def points(found: list[float]) -> str:
    """Return `+1.2 [0.3, 2.1]`."""
    return f"{100 * found[0]:+.1f} [{100 * found[1]:.1f}, {100 * found[2]:.1f}]".replace("-", "−")


def table(found: dict) -> str:
    """Return the measured table as Markdown."""
    rows = found["rows"]
    lines = ["| on test | accuracy, % [95 %] | balanced, % |", "|---|---|---|"]
    for arm in found["arms"]:
        low, middle, high = (100 * share for share in arm["accuracy"])
        lines.append(
            f"| {arm['name']} | {middle:.1f} [{low:.1f}, {high:.1f}] | {100 * arm['balanced']:.1f} |"
        )
    student, versions = found["student"], found["versions"]
    weights = f" of {found['teacher_parameters']:,} weights" if found["teacher_parameters"] else ""
    return "\n".join(
        [
            advice(found),
            "",
            *lines,
            "",
            f"Verdict of the gate: **{found['verdict']}**. Student `{student['name']}`: {student['parameters']:,} weights, {student['macs']:,} "
            f"multiply-accumulates a row, {student['bytes'] / 1024:.0f} kB; teacher `{found['teacher']}`{weights}. Labelled rows {rows['labelled']:,}, "
            f"unlabelled {rows['unlabelled']:,}, test {rows['test']:,}. {found['seconds']} s ({found['machine']}; stillhouse {versions['stillhouse']}, "
            f"torch {versions['torch']}, Python {versions['python']}). Accuracy: the mean over an arm's seeds, its interval over seeds and rows; balanced: the first seed, which ships.",
        ]
    )


def write_tables(examples: Path, name: str, found: dict) -> None:
    """Write an example's numbers, the table of its README, and the line of the index."""
    (examples / name / "measured.json").write_text(json.dumps(found, indent=1) + "\n")
    _between(examples / name / "README.md", table(found))
    lines = [
        "| example | teacher | student | none | a straight line | advice |",
        "|---|---|---|---|---|---|",
    ]
    for place in sorted(examples.glob("*/measured.json")):
        one = json.loads(place.read_text())
        said = {arm["name"]: f"{100 * arm['accuracy'][1]:.1f}" for arm in one["arms"]}
        folder = place.parent.name
        numbers = " | ".join(
            said[arm] for arm in ("teacher", "student", "control none", "a straight line")
        )
        lines.append(
            f"| [{folder}]({folder}/README.md) | {numbers} | {advice(one).split('**')[1]} |"
        )
    _between(examples / "README.md", "\n".join(lines))


def _between(path: Path, text: str) -> None:
    whole = path.read_text()
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{START}\n{text}\n{END}", whole))
