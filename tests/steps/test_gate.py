import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from steps.walked import CLASSES, SCHEMAS, fitted_teacher, job, rows, settle, student, workspace

from stillhouse.data.keys import short_keys
from stillhouse.data.statistics import statistics
from stillhouse.edge.session import Session
from stillhouse.errors import Corrupt, DataError, SettingsError, SourceError
from stillhouse.release.manifest import student_fingerprint
from stillhouse.steps import export, gate, robustness
from stillhouse.steps.step import Job
from stillhouse.workspace import Workspace, dump_tensors, load_tensors

RULES = [
    {"metric": "test/accuracy", "at_least": 0.5},
    {"metric": "test/accuracy", "against": "teacher", "margin": 0.25},
    {"metric": "test/accuracy", "against": "none", "margin": 0},
    {"metric": "test/accuracy", "against": "champion", "margin": 0.1},
    {"metric": "edge/size_kb", "at_most": 100},
    {"metric": "robust/linf/accuracy", "at_least": 0.99, "gates": False},
]
ATTACKS = {
    "attacks": [{"name": "fgsm", "norm": "linf", "epsilon": 0.1}],
    "corruptions": [{"name": "noise"}],
}
ABOUT = {"head": 3, "version": 6, "fingerprint": "ab" * 32, "manifest": "cd" * 32}


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A workspace in which every step before gate has left its files; nothing is in production."""
    made = workspace(tmp_path_factory.mktemp("walked"))
    export.step.run(job(made, "export", {}))
    settle(made, "export")
    fitted_teacher(made)
    robustness.step.run(job(made, "robustness", ATTACKS))
    settle(made, "robustness")
    test = rows("image", 150, 2)
    right = torch.nn.functional.one_hot(test.targets, len(CLASSES)).float()
    weak = (
        right.roll(1, dims=1) * (torch.arange(150) % 2 == 0)[:, None]
        + right * (torch.arange(150) % 2 == 1)[:, None]
    )
    made.write_bytes("artifacts/teacher/outcomes.safetensors", dump_tensors({"test_logits": right}))
    made.write_bytes(
        "artifacts/distill/outcomes.safetensors",
        dump_tensors({f"{arm}/0/test_logits": weak.clone() for arm in ("none", "hard")}),
    )
    in_production(made, None, b"")
    return made


def in_production(made, about, model):
    made.write_json(gate.CHAMPION, about)
    made.write_bytes(gate.CHAMPION_MODEL, model)


@pytest.fixture
def copy(walked, tmp_path):
    """The workspace, to change."""
    return Workspace(shutil.copytree(walked.root, tmp_path / "copy"))


def gated(made, rules=RULES, alpha=0.05):
    asked = job(made, "gate", {})
    asked = Job(
        asked.files, {"gate": {"rules": rules, "alpha": alpha}, "robustness": ATTACKS}, asked.place
    )
    gate.step.check(asked.params)
    made.remove(".stillhouse/new/gate")
    metrics = gate.step.run(asked)
    return (
        asked.files.read_json("gate/verdict.json"),
        asked.files.read_tensors("gate/outcomes.safetensors"),
        metrics,
    )


MADE = {}


def exported_by(seed, folder, kind="image", bias=0.0):
    """The bytes of another student's ONNX, each made once; with a bias it leans to one class."""
    if (seed, kind, bias) not in MADE:
        MADE[seed, kind, bias] = _exported_by(seed, folder, kind, bias)
    return MADE[seed, kind, bias]


def _exported_by(seed, folder, kind, bias):
    made = workspace(folder, kind)
    made.write_bytes(
        "artifacts/distill/student.safetensors",
        dump_tensors(_leaning(student(rows(kind, 240, 1), seed).state_dict(), bias)),
    )
    export.step.run(job(made, "export", {"int8": False}))
    return (made.hidden / "new/export/student.onnx").read_bytes()


def _leaning(state, bias):
    last = [name for name in state if name.endswith("bias")][-1]
    return {**state, last: state[last] + bias * torch.eye(len(state[last]))[0]}


def test_a_first_student_that_passes_is_promoted_without_a_champion(walked):
    told, outcomes, metrics = gated(walked)
    assert told["verdict"] == "promote"
    assert [rule["verdict"] for rule in told["rules"]] == [
        "pass",
        "pass",
        "pass",
        "not_applicable",
        "pass",
        "fail",
        "not_applicable",
        "pass",
    ]
    assert (told["champion"], told["flips"]["against"], told["flips"]["negative"]) == (
        None,
        None,
        None,
    )
    assert told["student"] == student_fingerprint(walked)
    assert {name.partition("/")[0] for name in outcomes} == {"slice", "unlike"}
    assert metrics == {
        "gate/passed": 4.0,
        "gate/undecided": 0.0,
        "gate/failed": 0.0,
        "gate/rules": 4.0,
    }
    deployed = walked.artifacts / "export/student.onnx"
    test = rows("image", 150, 2)
    right = Session(deployed.read_bytes()).logits(test.inputs).argmax(dim=1) == test.targets
    assert told["rules"][0]["observed"] == float(right.double().mean())
    assert told["rules"][4]["observed"] == deployed.stat().st_size / 1000


def test_the_same_files_give_the_same_bytes(walked):
    files = job(walked, "gate", {}).files
    gated(walked)
    first = files.read_bytes("gate/verdict.json"), files.read_bytes("gate/outcomes.safetensors")
    gated(walked)
    assert (
        files.read_bytes("gate/verdict.json"),
        files.read_bytes("gate/outcomes.safetensors"),
    ) == first


def test_a_worse_student_is_rejected_and_a_doubtful_one_held(walked):
    told, _, metrics = gated(walked, [{"metric": "robust/linf/accuracy", "at_least": 0.99}])
    assert told["verdict"] == "reject"
    assert metrics["gate/failed"] == 1
    told, _, metrics = gated(
        walked,
        [
            {
                "metric": "robust/linf/accuracy",
                "at_least": round(told["rules"][0]["observed"] - 0.01, 3),
            }
        ],
    )
    assert told["verdict"] == "hold"
    assert metrics["gate/undecided"] == 1
    assert told["rules"][0]["rows_needed"] > 150


def test_the_champion_is_asked_today_s_rows_and_its_flips_are_counted(copy, tmp_path):
    in_production(copy, ABOUT, exported_by(5, tmp_path / "other"))
    told, outcomes, _ = gated(copy)
    test = rows("image", 150, 2)
    student_right = (
        Session((copy.artifacts / "export/student.onnx").read_bytes())
        .logits(test.inputs)
        .argmax(dim=1)
        == test.targets
    )
    champion_right = outcomes["champion_logits"].argmax(dim=1) == test.targets
    rule = told["rules"][3]
    assert rule["discordant"] == [told["flips"]["negative"], told["flips"]["positive"]]
    assert told["flips"]["rows_negative"] == test.rows[champion_right & ~student_right].tolist()
    assert rule["observed"] == pytest.approx(
        float(student_right.double().mean() - champion_right.double().mean())
    )
    assert (told["flips"]["against"], told["champion"]) == (
        "version 6",
        {"head": 3, "version": 6, "manifest": "cd" * 32},
    )


def test_the_same_model_as_champion_flips_nothing_and_passes_with_a_margin_only(copy):
    in_production(copy, ABOUT, (copy.artifacts / "export/student.onnx").read_bytes())
    told, _, _ = gated(
        copy,
        [
            RULES[3],
            {"metric": "test/accuracy", "against": "champion", "margin": 0},
            {"metric": "test/accuracy", "against": "champion"},
        ],
    )
    assert [rule["verdict"] for rule in told["rules"]] == [
        "pass",
        "undecided",
        "pass",
        "undecided",
        "pass",
    ]
    assert "left no statistics" in told["rules"][3]["sentence"]
    assert (told["flips"]["negative"], told["flips"]["positive"], told["flips"]["p"]) == (0, 0, 1.0)
    assert told["verdict"] == "hold"
    assert told["rules"][2]["power"] >= 0.8


def test_drift_is_watched_where_no_rule_speaks_of_it_and_gates_where_one_does(copy, tmp_path):
    same = copy.read_json("artifacts/prepare/data.json")["statistics"]
    model = (copy.artifacts / "export/student.onnx").read_bytes()
    in_production(copy, {**ABOUT, "statistics": same}, model)
    told, _, _ = gated(copy, RULES[:1])
    assert [(rule["verdict"], rule["gates"], rule["guards"]) for rule in told["rules"]] == [
        ("pass", True, False),
        ("pass", False, False),
        ("pass", True, True),
    ]
    assert (told["drift"]["against"], told["drift"]["share"]) == ("version 6", 0.0)
    darker = rows("image", 240, 9)
    darker = replace(darker, inputs=darker.inputs * 0.5)
    in_production(copy, {**ABOUT, "statistics": statistics(darker)}, model)
    told, _, _ = gated(copy, RULES[:1])
    assert (told["verdict"], told["rules"][1]["verdict"]) == ("promote", "fail")
    assert {one["name"] for one in told["drift"]["features"] if one["drifted"]} >= {"grey, mean"}
    own = {"metric": "drift/features", "at_most": 0.2}
    told, _, _ = gated(copy, [RULES[0], own])
    assert (told["verdict"], len(told["rules"])) == ("reject", 3)
    told, _, _ = gated(copy, [RULES[0], {**own, "at_most": 1.0}])
    assert told["verdict"] == "promote"


@pytest.mark.parametrize("case", ["shape", "features", "classes", "gone"])
def test_a_champion_that_cannot_be_compared_holds_and_is_never_no_champion(copy, tmp_path, case):
    model = exported_by(5, tmp_path / "other", "table" if case == "shape" else "image")
    about = {
        "features": {**ABOUT, "statistics": {"classes": [0.5, 0.5], "features": [{"name": "red"}]}},
        "classes": {
            **ABOUT,
            "schema": {**SCHEMAS["image"].as_dict(), "classes": ["a", "c", "b"]},
        },
    }.get(case, ABOUT)
    in_production(copy, about, b"" if case == "gone" else model)
    told, outcomes, _ = gated(copy)
    assert told["verdict"] == "hold"
    assert told["rules"][3]["verdict"] == "undecided"
    assert told["rules"][3]["observed"] is None
    assert "version 6 cannot be asked today's rows" in told["rules"][3]["sentence"]
    assert told["champion"]["version"] == 6
    assert (told["flips"]["against"], told["flips"]["negative"]) == ("version 6", None)
    assert "champion_logits" not in outcomes


def test_a_champion_that_nobody_wrote_down_or_that_is_broken_stops_the_gate(copy):
    gated(copy)
    copy.remove(gate.CHAMPION)
    with pytest.raises(DataError, match="stillhouse run"):
        gated(copy)
    copy.write_bytes(gate.CHAMPION, b"{")
    with pytest.raises(Corrupt):
        gated(copy)
    in_production(copy, ABOUT, b"no model")
    with pytest.raises(SourceError):
        gated(copy)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"rules": []}, "promotes anything"),
        (None, "promotes anything"),
        ({"rules": RULES, "alhpa": 0.1}, "Did you mean 'alpha'"),
        ({"rules": RULES, "alpha": 0.5}, "gate.alpha"),
        (
            {"rules": [{"metric": "robust/l2/accuracy", "at_least": 0.3}]},
            "does not measure 'robust/l2/accuracy'",
        ),
        (
            {"rules": [{"metric": "robust/fgsm_linf_0.2/accuracy", "at_least": 0.3}]},
            "Did you mean 'robust/fgsm_linf_0.1/accuracy'",
        ),
        (
            {"rules": [{"metric": "test/accuracy", "at_least": {"float": [0.8, 0.9]}}]},
            "only under distill",
        ),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused_before_anything_runs(section, said):
    gate.step.check({"gate": {"rules": RULES, "alpha": 0.1}, "robustness": ATTACKS})
    with pytest.raises(SettingsError, match=said):
        gate.step.check({"gate": section, "robustness": ATTACKS})


def test_attacks_that_are_left_to_the_defaults_can_be_bounded():
    gate.step.check({"gate": {"rules": [{"metric": "robust/linf/accuracy", "at_least": 0.3}]}})
    with pytest.raises(SettingsError, match="robust/l2"):
        gate.step.check({"gate": {"rules": [{"metric": "robust/l2/accuracy", "at_least": 0.3}]}})


def test_the_verdict_is_plain_json_without_a_clock(walked):
    told, _, _ = gated(walked)
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {
        "verdict",
        "alpha",
        "rules",
        "why",
        "error_rate",
        "student",
        "champion",
        "flips",
        "metrics",
        "drift",
        "slices",
        "rows",
        "life",
    }
    assert "edge/latency_ms_p50" not in told["metrics"]


def test_rows_that_came_since_cannot_decide_alone_against_the_champion(copy):
    # The student is right about the rows that the champion was tested on exactly as often; on the
    # new ones it is far better, and whoever brings rows could have seen to that.
    test = rows("image", 150, 2)
    model = (copy.artifacts / "export/student.onnx").read_bytes()
    right = Session(model).logits(test.inputs).argmax(dim=1) == test.targets
    keys = short_keys(test)
    gain = [{"metric": "test/accuracy", "against": "champion", "margin": 0}, RULES[0]]
    worse = exported_by(5, copy.root / "other", bias=25.0)
    before = Session(worse).logits(test.inputs).argmax(dim=1) == test.targets
    assert int((right & ~before).sum()) > 30  # so that on all rows the gain is plain
    in_production(copy, {**ABOUT, "test_rows": keys}, worse)
    told, _, _ = gated(copy, gain)
    assert (told["rules"][0]["verdict"], told["rows"]) == (
        "pass",
        {"frozen": 150, "gone": 0, "new": 0},
    )
    old = [key for key, same in zip(keys, (right == before).tolist(), strict=True) if same]
    in_production(copy, {**ABOUT, "test_rows": [*old, "0" * 16]}, worse)
    told, _, _ = gated(copy, gain)
    assert told["verdict"] == "hold"
    assert "rows that version 6 was tested on" in told["rules"][0]["sentence"]
    assert told["rules"][0]["rows_used"] == len(old)
    assert told["rows"] == {"frozen": len(old), "gone": 1, "new": 150 - len(old)}
    in_production(copy, {**ABOUT, "test_rows": ["0" * 16]}, worse)
    told, _, _ = gated(copy, gain)
    assert (told["verdict"], told["rules"][0]["observed"]) == ("hold", None)


def test_over_a_life_each_comparison_spends_its_part_and_an_uncounted_one_is_refused(copy):
    model = (copy.artifacts / "export/student.onnx").read_bytes()
    asked = job(copy, "gate", {})
    section = {"rules": RULES[:1], "life": True}
    asked = Job(asked.files, {"gate": section, "robustness": ATTACKS}, asked.place)
    in_production(copy, {**ABOUT, "look": 3}, model)
    gate.step.run(asked)
    told = asked.files.read_json("gate/verdict.json")
    assert told["alpha"] == told["life"]["spent"] == pytest.approx(0.05 * 6 / (9 * math.pi**2))
    assert told["life"]["look"] == 3
    alarms = [rule["level"] for rule in told["rules"] if rule["guards"]]
    assert set(alarms) <= {None, 0.05}  # a false one only holds: it spends nothing
    in_production(copy, ABOUT, model)
    copy.remove(".stillhouse/new/gate")
    with pytest.raises(DataError, match="no number"):
        gate.step.run(asked)


def test_negative_flips_have_a_budget_in_all_by_class_and_by_slice(copy, tmp_path):
    # this student leans to a class, the champion does not
    leaning = exported_by(5, tmp_path / "other", bias=8.0)
    deployed = (copy.artifacts / "export/student.onnx").read_bytes()
    test = rows("image", 150, 2)
    copy.write_bytes(
        "artifacts/export/outcomes.safetensors",
        dump_tensors({"fp32_logits": Session(leaning).logits(test.inputs)}),
    )
    in_production(copy, ABOUT, deployed)
    budget = {"metric": "flips/negative", "against": "champion", "at_most": 0.3}
    told, _, _ = gated(
        copy,
        [
            budget,
            {**budget, "at_most": 0.0},
            {**budget, "metric": "flips/worst_class", "at_most": 0.9},
            {**budget, "metric": "flips/worst_slice", "at_most": 0.9},
        ],
    )
    flips, *_ = told["rules"]
    assert flips["observed"] == told["flips"]["negative"] / 150
    assert told["flips"]["negative"] > 0
    assert [rule["verdict"] for rule in told["rules"][:4]] == ["pass", "fail", "pass", "pass"]
    assert told["rules"][2]["about"].startswith("class ")


def test_a_label_that_is_no_class_and_an_answer_that_is_no_number_are_named(copy):
    gated(copy)
    path = "artifacts/export/outcomes.safetensors"
    logits = load_tensors(copy.root / path)["fp32_logits"]
    broken = logits.clone()
    broken[7, 1] = torch.nan
    copy.write_bytes(path, dump_tensors({"fp32_logits": broken}))
    number = int(rows("image", 150, 2).rows[7])
    with pytest.raises(DataError, match=f"row {number} has an answer of student"):
        gated(copy)
    copy.write_bytes(path, dump_tensors({"fp32_logits": logits[:140].clone()}))
    with pytest.raises(DataError, match="140 answers of student for 150"):
        gated(copy)
    copy.write_bytes(path, dump_tensors({"fp32_logits": logits}))
    path = "artifacts/prepare/test.safetensors"
    stored = load_tensors(copy.root / path)
    targets = stored["targets"].clone()
    targets[4] = 9
    copy.write_bytes(path, dump_tensors({**stored, "targets": targets}))
    with pytest.raises(DataError, match="none of the classes"):
        gated(copy)


def test_rows_of_another_data_set_are_told_apart_where_settings_name_one(copy):
    # one that is noise of the same shape, and one that is the test split itself
    test = rows("image", 150, 2)
    noise = torch.rand(80, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for name, inputs in (("noise.npz", noise), ("same.npz", test.inputs)):
        np.savez(copy.root / name, inputs=inputs.numpy())
    rules = [RULES[0], {"metric": "ood/letters", "at_least": 0.99, "gates": False}]
    section = {"rules": rules, "ood": {"letters": "noise.npz", "same": "same.npz"}}
    asked = job(copy, "gate", {})
    asked = Job(asked.files, {"gate": section, "robustness": ATTACKS}, asked.place)
    gate.step.check(asked.params)
    gate.step.run(asked)
    told = asked.files.read_json("gate/verdict.json")
    answers = asked.files.read_tensors("gate/outcomes.safetensors")
    assert answers["unlike/letters"].shape == (80, 3)
    own = answers["unlike/same"]
    assert torch.equal(
        own, load_tensors(copy.artifacts / "export/outcomes.safetensors")["fp32_logits"]
    )
    assert {"ood/letters", "ood/same", "ood/noise"} <= set(told["metrics"])
    seen = told["rules"][1]
    assert seen["metric"] == "ood/letters"
    assert 0 < seen["observed"] < 1
    assert gate.step.sources(asked.params) == {"ood.letters": "noise.npz", "ood.same": "same.npz"}


def test_another_data_set_that_cannot_be_meant_is_refused(copy):
    def check(ood, metric="ood/letters"):
        rules = [RULES[0], {"metric": metric, "at_least": 0.5, "gates": False}]
        gate.step.check({"gate": {"rules": rules, "ood": ood}})

    check({"letters": "letters.npz"})
    for ood, metric in (({}, "ood/letters"), ({"letters": "a.npz"}, "ood/leters")):
        with pytest.raises(SettingsError, match="ood/"):
            check(ood, metric)
    for name in ("noise", "a/b"):
        with pytest.raises(SettingsError, match="cannot be a data set's name"):
            check({name: "a.npz"}, f"ood/{name}")
    np.savez(copy.root / "wide.npz", inputs=np.zeros((5, 1, 9, 9), np.float32))
    asked = job(copy, "gate", {"rules": RULES[:1], "ood": {"wide": "wide.npz"}})
    with pytest.raises(SourceError):
        gate.step.run(asked)
