"""Rules that compare the student with the champion under attack."""

import shutil

import pytest
import torch
from steps.test_gate import ABOUT, exported_by, gated, in_production
from steps.test_gate import walked as walked

from stillhouse.errors import SettingsError
from stillhouse.workspace import Workspace, dump_tensors, load_tensors

METRIC = "robust/linf/accuracy"


def rule(margin, **more):
    return {"metric": METRIC, "against": "champion", "margin": margin, **more}


FLOOR = {"metric": "test/accuracy", "at_least": 0.5}


@pytest.fixture
def copy(walked, tmp_path):
    return Workspace(shutil.copytree(walked.root, tmp_path / "copy"))


def found(told):
    return next(one for one in told["rules"] if one["metric"] == METRIC)


def test_the_same_model_in_production_withstands_what_the_student_withstands(copy):
    in_production(copy, ABOUT, (copy.artifacts / "export/student.onnx").read_bytes())
    told, outcomes, _ = gated(copy, [FLOOR, rule(None)])
    student = load_tensors(copy.artifacts / "robustness/outcomes.safetensors")
    assert 0 < student["attack/fgsm_linf_0.1"].sum() < 150
    assert torch.equal(outcomes["champion/linf"], student["attack/fgsm_linf_0.1"])
    assert (found(told)["observed"], found(told)["discordant"]) == (0.0, [0, 0])
    assert (found(told)["rows_used"], found(told)["rows_total"]) == (150, 150)


def test_a_verdict_that_is_settled_by_some_rows_stops_there_and_is_that_of_all(copy, tmp_path):
    in_production(copy, ABOUT, exported_by(7, tmp_path, bias=9.0))  # right about one class alone
    told, outcomes, _ = gated(copy, [FLOOR, rule(0.3)])
    seen = found(told)
    assert seen["verdict"] == "pass"
    assert seen["rows_used"] < seen["rows_total"] == 150
    assert f"the first {seen['rows_used']} of 150 rows" in seen["sentence"]
    assert len(outcomes["champion/linf/rows"]) == len(outcomes["champion/linf"])
    assert len(outcomes["champion/linf"]) == seen["rows_used"]
    whole, every, _ = gated(copy, [FLOOR, rule(0.3), rule(0.3, gates=False)])
    assert found(whole)["verdict"] == "pass"
    assert found(whole)["rows_used"] == len(every["champion/linf"]) == 150
    assert torch.equal(
        every["champion/linf"][outcomes["champion/linf/rows"]], outcomes["champion/linf"]
    )


def test_a_student_that_withstands_less_is_held(copy, tmp_path):
    seen = load_tensors(copy.artifacts / "robustness/outcomes.safetensors")
    in_production(copy, ABOUT, (copy.artifacts / "export/student.onnx").read_bytes())
    told, _, _ = gated(copy, [FLOOR, rule(0.05)])
    assert told["verdict"] == "promote"
    none = {
        name: torch.zeros_like(kept) if name.startswith("attack/") else kept
        for name, kept in seen.items()
    }
    copy.write_bytes("artifacts/robustness/outcomes.safetensors", dump_tensors(none))
    told, _, _ = gated(copy, [FLOOR, rule(0.05)])
    assert (told["verdict"], found(told)["verdict"]) == ("hold", "undecided")
    assert found(told)["rows_used"] < 150


def test_before_the_first_promotion_nobody_is_attacked(walked):
    told, outcomes, _ = gated(walked, [FLOOR, rule(0.3)])
    assert found(told)["verdict"] == "not_applicable"
    assert not [name for name in outcomes if name.startswith("champion/")]


def test_a_champion_without_a_gradient_is_not_compared(copy, tmp_path):
    in_production(copy, ABOUT, _stepped(exported_by(7, tmp_path)))
    told, _, _ = gated(copy, [FLOOR, rule(0.3)])
    assert (told["verdict"], found(told)["verdict"]) == ("hold", "undecided")
    assert "cannot be attacked as the student was" in found(told)["sentence"]
    assert "operator Det" in found(told)["sentence"]


def _stepped(data):
    """The same model behind an operator whose gradient nobody here knows."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(data)
    answer = model.graph.output[0].name
    last = next(node for node in model.graph.node if answer in node.output)
    last.output[list(last.output).index(answer)] = "inner"
    model.graph.initializer.append(
        helper.make_tensor("eye", onnx.TensorProto.FLOAT, [2, 2], [1.0, 0.0, 0.0, 1.0])
    )
    model.graph.node.append(helper.make_node("Det", ["eye"], ["one"]))
    model.graph.node.append(helper.make_node("Mul", ["inner", "one"], [answer]))
    return model.SerializeToString()


@pytest.mark.parametrize("against", ["teacher", "none", "hard"])
def test_nobody_else_is_attacked(walked, against):
    assert gated(walked, [FLOOR, rule(0.3)])
    with pytest.raises(SettingsError, match=f"nobody attacks {against}"):
        gated(walked, [FLOOR, {**rule(0.3), "against": against}])


def test_a_killed_comparison_comes_to_the_same(copy, tmp_path, monkeypatch):
    from stillhouse.robustness import versus

    in_production(copy, ABOUT, exported_by(7, tmp_path))
    whole = gated(copy, [FLOOR, rule(None)])
    made, real = [], versus.attacked

    def dies(*given):
        made.append(given)
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(versus, "attacked", dies)
    with pytest.raises(KeyboardInterrupt):
        gated(copy, [FLOOR, rule(None)])
    again = gated(copy, [FLOOR, rule(None)])
    assert again[0] == whole[0]
    assert len(made) < 3 + 5, "what was finished is not attacked again"
