import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.architectures.convnet import ConvNet
from stillhouse.architectures.resnet import ResNet
from stillhouse.architectures.tiny_transformer import TinyTransformer
from stillhouse.errors import SourceError
from stillhouse.teachers import pt2
from stillhouse.teachers.ask import ask
from stillhouse.teachers.exported import Exported
from stillhouse.teachers.graph import Program
from stillhouse.teachers.teacher import Lesson

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def exported(net: nn.Module, rows: Tensor) -> bytes:
    program = torch.export.export(net, (rows,), dynamic_shapes=({0: torch.export.Dim("b")},))
    held = io.BytesIO()
    torch.export.save(program, held)
    return held.getvalue()


def small() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ConvNet(width=4, depth=2).build((1, 8, 8), 10)
        net(torch.rand(40, 1, 8, 8))  # moves the statistics of batch norm
    return net.eval()


@pytest.fixture(scope="module")
def file() -> bytes:
    return exported(small(), torch.rand(2, 1, 8, 8))


def changed(
    data: bytes, name: str, change: Callable[[bytes], bytes], packed: bool = False
) -> bytes:
    """The archive with one file replaced."""
    held = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held, "w", kind) as new:
        for entry in old.infolist():
            found = old.read(entry)
            new.writestr(entry.filename, change(found) if entry.filename.endswith(name) else found)
    return held.getvalue()


def graph(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        held = json.loads(data)
        change(held)
        return json.dumps(held).encode()

    return apply


def answers(given: Lesson, data: bytes, **settings: Any) -> Tensor:
    (given.root / "t.pt2").write_bytes(data)
    teacher = Exported(path="t.pt2", **settings)
    return ask(teacher.recall(teacher.learn(given), given.train.schema), given.val)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 4)
        self.register_buffer("weight", torch.rand(8), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        states = self.gru(rows)[0]
        seen = self.attention(states, states, states, need_weights=False)[0]
        one, two = (self.norm(seen + states).mean(1) * self.weight).chunk(2, 1)
        return self.out(torch.cat([one, two], 1)).reshape(rows.shape[0], -1)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": (lambda: ResNet(depth=8, width=4).build((3, 9, 8), 5), (3, 9, 8)),
    "transformer": (lambda: TinyTransformer(width=8).build((3, 9, 8), 5), (3, 9, 8)),
    "recurrent": (Recurrent, (7, 3)),
}
SLOW = pytest.mark.stories  # exporting takes seconds


@pytest.mark.parametrize(
    "name",
    [pytest.param("resnet", marks=SLOW), pytest.param("transformer", marks=SLOW), "recurrent"],
)
def test_a_program_answers_as_its_net_does_for_any_number_of_rows(name: str) -> None:
    make, shape = NETS[name]
    net = make().eval()
    program = Program(pt2.read(exported(net, torch.rand(2, *shape)), "x"), "x")
    for count in (1, 2, 7):
        rows = torch.rand(count, *shape)
        torch.testing.assert_close(program(rows), net(rows), rtol=1e-5, atol=1e-6)


def test_the_teacher_answers_in_the_data_s_order_of_classes(
    file: bytes, lesson: Callable[[], Lesson]
) -> None:
    given = lesson()
    with torch.no_grad():
        wanted = small()(given.val.inputs)
        scaled = small()((given.val.inputs - 0.25) / 0.5)
    torch.testing.assert_close(answers(given, file), wanted, rtol=1e-4, atol=1e-5)
    names = tuple(str(k) for k in range(9, -1, -1))
    torch.testing.assert_close(
        answers(given, file, classes=names), wanted.flip(1), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        answers(given, file, mean=(0.25,), std=(0.5,)), scaled, rtol=1e-4, atol=1e-5
    )


def test_probabilities_are_told_by_looking(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    net = nn.Sequential(small(), nn.Softmax(dim=1)).eval()
    found = answers(given, exported(net, torch.rand(2, 1, 8, 8)))
    torch.testing.assert_close(found.softmax(dim=1), net(given.val.inputs), rtol=1e-3, atol=1e-5)


def test_gradients_go_through_it(file: bytes, lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    (given.root / "t.pt2").write_bytes(file)
    teacher = Exported(path="t.pt2")
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    assert oracle.gives == {"logits", "gradients"}
    assert oracle.module is not None
    rows = given.val.inputs[:3].clone().requires_grad_(True)
    oracle.module(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad.abs().sum() > 0


class Evil:
    """Writes a marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def test_nothing_in_a_file_is_ever_run(
    file: bytes, lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    marker, given = tmp_path / "marker", lesson()
    evil = pickle.dumps(Evil(marker))
    sample = changed(file, "sample_inputs/model.pt", lambda old: evil)
    assert len(answers(given, sample)) == len(given.val)  # never looked at
    expression = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    sized = changed(
        file,
        "models/model.json",
        graph(
            lambda held: held["graph_module"]["graph"]["sym_int_values"].update(
                s={"as_expr": {"expr_str": expression, "hint": None}}
            )
        ),
    )
    assert len(answers(given, sized)) == len(given.val)
    weights = changed(
        file,
        "weights_config.json",
        graph(lambda held: held["config"]["logits.bias"].update(use_pickle=True)),
    )
    with pytest.raises(SourceError, match=r"'logits.bias' is stored as a pickle"):
        answers(given, changed(weights, "weight_7", lambda old: evil))
    assert not marker.exists()
    pickle.loads(evil)  # the payload itself works
    assert marker.exists()


def node(target: str) -> Callable[[bytes], bytes]:
    return graph(lambda held: held["graph_module"]["graph"]["nodes"][0].update(target=target))


BROKEN: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("model.json", node("torch.ops.aten.from_file.default"), "operator 'torch.ops.aten.from_file"),
    ("model.json", node("torch.hub.load"), "operator 'torch.hub.load'"),
    ("model.json", node("_operator.call"), "operator '_operator.call'"),
    ("model.json", node("#higher:x"), "operator '#higher:x'"),
    ("model.json", lambda old: old[: len(old) // 2], "no exported program"),
    ("model.json", lambda old: b"{}", "no exported program"),
    (
        "weights_config.json",
        lambda old: old.replace(b"weight_0", b"../secret"),
        "stored as a pickle",
    ),
    (
        "weights_config.json",
        lambda old: old.replace(b"weight_0", b"weight_0/../x"),
        "file is named",
    ),
    ("weight_0", lambda old: old[:-4], "does not fit its"),
    (
        "model.json",
        graph(
            lambda held: held["graph_module"]["signature"]["output_specs"].insert(
                0, {"buffer_mutation": {}}
            )
        ),
        "exported in training mode",
    ),
]


@pytest.mark.parametrize(("name", "change", "said"), BROKEN)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    file: bytes,
    lesson: Callable[[], Lesson],
    name: str,
    change: Callable[[bytes], bytes],
    said: str,
) -> None:
    given = lesson()
    with pytest.raises(SourceError, match=said) as caught:
        answers(given, changed(file, name, change))
    assert caught.value.exit_code == 2
    answers(given, changed(file, name, lambda old: old))


def test_pickles_and_packed_archives_are_refused(file: bytes, lesson: Callable[[], Lesson]) -> None:
    held = io.BytesIO()
    torch.save(small().state_dict(), held)
    for data, said in (
        (held.getvalue(), r"a pickle in a zip archive \(torch.save\)"),
        (pickle.dumps({}), "no exported program"),
        (changed(file, "nothing", lambda old: old, packed=True), "packed"),
    ):
        with pytest.raises(SourceError, match=said):
            answers(lesson(), data)


def test_another_input_size_or_number_of_classes_is_refused(lesson: Callable[[], Lesson]) -> None:
    larger = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    with pytest.raises(SourceError, match=r"cannot answer rows of shape \[64, 1, 8, 8\]"):
        answers(lesson(), exported(larger, torch.rand(2, 1, 28, 28)))
    fewer = nn.Sequential(nn.Flatten(), nn.Linear(64, 7)).eval()
    with pytest.raises(SourceError, match="knows 7 classes, the data have 10"):
        answers(lesson(), exported(fewer, torch.rand(2, 1, 8, 8)))
