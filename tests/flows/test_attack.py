import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from models.test_onnx_graph import built, node
from robustness.nets import blobs, net
from typer.testing import CliRunner

from stillhouse.errors import DataError
from stillhouse.workspace import load_tensors
from stillhouse_flows.attack import Wish, attack
from stillhouse_flows.cli import app

GUIDE = Path(__file__).parents[2] / "docs" / "examples" / "attack_a_model.py"


@pytest.fixture
def place(tmp_path):
    """A model of two cells as a file, the same behind a rounding layer, and its rows."""
    held = {name: part.detach().numpy() for name, part in net().state_dict().items()}
    layers = [
        node("Gemm", ["r", "a", "b"], "1", transB=1),
        node("Relu", ["1"], "2"),
        node("Gemm", ["2", "c", "d"], "y", transB=1),
    ]
    weights = dict(zip("abcd", held.values(), strict=True))
    plain = built([node("Identity", ["x"], "r"), *layers], (2,), **weights)
    fifty = {"k": np.float32(50.0)}
    steps = [node("Mul", ["x", "k"], "m"), node("Round", ["m"], "n"), node("Div", ["n", "k"], "r")]
    onnx.save(plain, tmp_path / "plain.onnx")
    onnx.save(built([*steps, *layers], (2,), **weights, **fifty), tmp_path / "rounded.onnx")
    inputs, targets = blobs()
    np.savez(tmp_path / "rows.npz", inputs=inputs.numpy(), targets=targets.numpy())
    return tmp_path


def wish(place, model="plain.onnx", **more):
    told = {"norm": "linf", "epsilon": 0.5, "rows": 80, **more}
    return Wish(place / model, place / "rows.npz", **told)


def silent(done, total, note):
    pass


def test_gradients_lead_and_the_file_decides(place):
    seen = []
    found = attack(wish(place), lambda *told: seen.append(told))
    assert found.black_box == ""
    assert found.attack == "cascade"
    assert seen[0][:2] == (50, 80)
    from stillhouse.edge.session import Session

    told = Session((place / "plain.onnx").read_bytes()).ask(found.result.inputs).argmax(1)
    _, targets = blobs()
    order = torch.randperm(240, generator=torch.Generator().manual_seed(0))[:80]
    assert torch.equal(found.result.success, told != targets[order])
    assert 0 < int(found.result.success.sum()) < 80
    assert found.as_dict()["robust"] == list(found.result.robust_accuracy)


def test_a_black_box_is_said_and_attacked_no_worse(place):
    open_one, closed = attack(wish(place), silent), attack(wish(place, "rounded.onnx"), silent)
    assert "Round" in closed.black_box
    assert closed.attack == "square"
    apart = open_one.result.robust_accuracy[1] - closed.result.robust_accuracy[1]
    assert abs(apart) < 0.1


def test_the_command_tells_it_as_one_object_and_keeps_the_rows(place):
    arguments = ["attack", str(place / "plain.onnx"), "--data", str(place / "rows.npz")]
    more = ["--epsilon", "0.5", "--rows", "60", "--out", str(place / "worst.safetensors"), "--json"]
    done = CliRunner().invoke(app, [*arguments, *more])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["rows"] == 60
    assert told["gradients"]
    low, share, high = told["robust"]
    assert low < share < high
    kept = load_tensors(place / "worst.safetensors")
    assert kept["inputs"].shape == (60, 2)
    assert int(kept["success"].sum()) == round(60 * (1 - share))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--epsilon", "0"], "above 0"),
        (["--epsilon", "-1"], "above 0"),
        (["--norm", "l9"], "Did you mean"),
        (["--seconds", "0"], "0 seconds tells nothing"),
        (["--seconds", "-5"], "-5 seconds tells nothing"),
        (["--attack", "pdg"], "'pgd'"),
        (["--attack", "transfer"], "second model"),
        (["--attack", "patch", "--norm", "patch"], "takes image or series, not table"),
        (["--data", "absent.npz"], "absent.npz"),
    ],
)
def test_what_cannot_be_meant_ends_with_two_and_a_sentence(place, change, said):
    base = {"--data": str(place / "rows.npz"), "--epsilon": "0.5"}
    base.update(zip(change[::2], change[1::2], strict=True))
    told = [part for pair in base.items() for part in pair]
    done = CliRunner().invoke(app, ["attack", str(place / "plain.onnx"), *told])
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_an_epsilon_that_nobody_can_mean_is_told_before_torch_is_loaded():
    code = (
        "import sys; from typer.testing import CliRunner; from stillhouse_flows.cli import app\n"
        "done = CliRunner().invoke(app, ['attack', 'a', '--data', 'b', '--epsilon', '-0.1'])\n"
        "sys.exit(10 * ('torch' in sys.modules) + done.exit_code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 2


def test_a_black_box_is_called_by_its_name_once(place):
    closed = attack(wish(place, "rounded.onnx", rows=20), silent)
    assert closed.black_box == "there is no gradient for its operator Round."


def stump(path, *, scores=True):
    """Cells below 0 are of class 0: a tree as scikit-learn's converters write one, the class first
    and then its probabilities, or the class alone.
    """
    tree = onnx.helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.0, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        class_treeids=[0, 0, 0, 0],
        class_nodeids=[1, 1, 2, 2],
        class_ids=[0, 1, 0, 1],
        class_weights=[0.9, 0.1, 0.2, 0.8],
        classlabels_int64s=[0, 1],
    )
    told = onnx.helper.make_tensor_value_info
    outputs = [told("label", onnx.TensorProto.INT64, ["b"])]
    if scores:
        outputs.append(told("probabilities", onnx.TensorProto.FLOAT, ["b", 2]))
    rows = [told("x", onnx.TensorProto.FLOAT, ["b", 2])]
    graph = onnx.helper.make_graph([tree], "g", rows, outputs)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def test_a_tree_of_scikit_learn_s_layout_is_asked_for_its_probabilities(place):
    cells = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    np.savez(place / "rows.npz", inputs=cells, targets=(cells[:, 0] > 0).astype(int))
    stump(place / "stump.onnx")
    found = attack(wish(place, "stump.onnx", epsilon=0.3, rows=60), silent)
    assert found.result.clean.all()
    near = np.abs(cells[:, 0]) < 0.3 * cells[:, 0].std()
    assert int(found.result.success.sum()) == pytest.approx(int(near.sum()), abs=1)
    stump(place / "decides.onnx", scores=False)
    with pytest.raises(DataError, match=r"answers \[16\] to 16 rows, not a score a class"):
        attack(wish(place, "decides.onnx"), silent)


def test_a_model_of_doubles_is_asked_in_doubles(place):
    nodes = [node("Cast", ["x"], "f", to=onnx.TensorProto.FLOAT), node("Gemm", ["f", "w"], "y")]
    model = built(nodes, (2,), w=np.array([[1.0, -1.0], [-1.0, 1.0]], dtype=np.float32))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, place / "double.onnx")
    assert len(attack(wish(place, "double.onnx", rows=20), silent).result.success) == 20


@pytest.mark.parametrize("size", [1, 7])
def test_a_model_of_a_fixed_batch_is_asked_so_many_rows_at_a_time(place, size):
    model = onnx.load(place / "plain.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, place / "fixed.onnx")
    free, fixed = (
        attack(wish(place, rows=60), silent),
        attack(wish(place, "fixed.onnx", rows=60), silent),
    )
    assert torch.equal(fixed.result.clean, free.result.clean)
    assert fixed.result.robust_accuracy == pytest.approx(free.result.robust_accuracy, abs=0.05)


def test_a_row_that_cannot_be_judged_is_named_by_its_place_in_the_file(place):
    with np.load(place / "rows.npz") as held:
        inputs, targets = held["inputs"], held["targets"]
    odd = np.where(np.arange(240)[:, None] == 7, np.nan, inputs)
    np.savez(place / "rows.npz", inputs=odd, targets=targets)
    seen = []
    with pytest.raises(DataError, match="clean row 7 is not a number"):
        attack(wish(place, rows=240), lambda *told: seen.append(told))
    assert not seen
    np.savez(place / "rows.npz", inputs=inputs)
    with pytest.raises(DataError, match="no row has a target"):
        attack(wish(place), silent)


def test_a_gradient_attack_on_a_black_box_is_refused_by_name(place):
    from stillhouse.errors import UsageError

    with pytest.raises(UsageError, match="'pgd' needs gradients, and this model is a black box"):
        attack(wish(place, "rounded.onnx", attack="pgd"), silent)


def test_pixels_of_bytes_are_scaled_and_that_is_said(place):
    images = (255 * np.random.default_rng(0).random((60, 1, 4, 4))).round().astype(np.float32)
    np.savez(place / "rows.npz", inputs=images, targets=np.arange(60) % 2)
    flat = [node("Flatten", ["x"], "1"), node("Gemm", ["1", "w"], "y")]
    weights = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)
    onnx.save(built(flat, (1, 4, 4), w=weights), place / "seen.onnx")
    found = attack(wish(place, "seen.onnx", epsilon=0.1), silent)
    assert any("divided by 255" in note for note in found.notes)
    assert float(found.result.inputs.max()) <= 1


def test_what_was_known_when_the_time_was_up_is_told(place):
    found = attack(wish(place, seconds=1e-9, rows=240), silent)
    assert not found.result.complete
    assert len(found.result.success) == 50


def test_the_guides_five_lines_run(capsys):
    exec(compile(GUIDE.read_text(), str(GUIDE), "exec"), {})
    assert "of 100 rows under linf 0.0313725" in capsys.readouterr().out


def test_another_file_leads_a_transfer_also_against_a_black_box(place):
    led = attack(wish(place, "rounded.onnx", surrogates=(place / "plain.onnx",)), silent)
    assert led.attack == "transfer"
    assert led.black_box
    own = attack(wish(place, attack="pgd"), silent)
    # the same weights but for the rounding: what fools one fools the other
    apart = led.result.robust_accuracy[1] - own.result.robust_accuracy[1]
    assert abs(apart) < 0.1
    assert led.result.success.any()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"surrogates": ("rounded.onnx",)}, "'rounded.onnx' cannot lead"),
        ({"surrogates": ("plain.onnx",), "attack": "pgd"}, "led by the model itself"),
    ],
)
def test_a_surrogate_that_cannot_lead_is_refused_by_name(place, more, said):
    from stillhouse.errors import UsageError

    told = {**more, "surrogates": tuple(place / name for name in more["surrogates"])}
    with pytest.raises(UsageError, match=said):
        attack(wish(place, **told), silent)


def test_a_category_of_a_table_is_flipped_from_the_command_line(tmp_path):
    """A model that hangs on a column of names alone, and rows that say so."""
    draw = np.random.default_rng(0)
    sums, wards = draw.normal(size=120), draw.integers(0, 2, 120)
    lines = ["sum,ward,ill"]
    lines += [f"{s:.3f},{'ab'[w]},{['no', 'yes'][w]}" for s, w in zip(sums, wards, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    weight = np.array([[0.1, -2.0], [-0.1, 2.0]], np.float32)
    bias = np.array([1.0, -1.0], np.float32)
    gemm = [node("Gemm", ["x", "w", "b"], "y", transB=1)]
    onnx.save(built(gemm, (2,), w=weight, b=bias), tmp_path / "ward.onnx")
    arguments = ["attack", str(tmp_path / "ward.onnx"), "--data", str(tmp_path / "rows.csv")]
    arguments += ["--target", "ill", "--norm", "category", "--epsilon", "1", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["attack"] == "flip"
    assert told["clean"][1] == 1.0
    assert told["robust"][1] == 0.0
