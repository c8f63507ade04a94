from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.errors import SettingsError, UsageError
from stillhouse.evaluation.tasks import CLASSIFICATION, LOWEST
from stillhouse.knowledge.build import build
from stillhouse.knowledge.keep import ALL, Keep, Sampled, Top, keep_of
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.teacher import oracle
from stillhouse.workspace import write_atomic

CLASSES, T = 40, 2.0
ANSWERS = CLASSIFICATION.stored(
    3 * torch.randn(3, CLASSES, generator=torch.Generator().manual_seed(0))
)


def gradient(teacher: Tensor) -> Tensor:
    """Of the loss at one student, by its logits [B, C]."""
    student = torch.randn(3, CLASSES, generator=torch.Generator().manual_seed(9))
    student.requires_grad_()
    kd_loss(student, teacher, T).sum().backward()
    assert student.grad is not None
    return student.grad


def through(keep: Keep, place: str = "a") -> Tensor:
    return keep.decode(keep.encode(ANSWERS, place=place), CLASSES)


def test_sampled_answers_give_on_average_the_gradient_of_whole_ones() -> None:
    draws = torch.stack([gradient(through(Sampled(16, T), f"draw {n}")) for n in range(400)])
    wanted = gradient(ANSWERS.float())
    error = (draws.mean(dim=0) - wanted).abs()
    doubt = draws.std(dim=0) / len(draws) ** 0.5
    assert (error <= 4.5 * doubt + 2e-3).all()


def test_the_largest_logits_alone_do_not() -> None:
    missed = (gradient(through(Top(4))) - gradient(ANSWERS.float())).abs().max()
    assert missed > 0.02
    rest = ANSWERS.float().softmax(dim=1).topk(4).values.sum(dim=1)
    kept = through(Top(4)).softmax(dim=1).topk(4).values.sum(dim=1)
    torch.testing.assert_close(kept, rest, atol=2e-3, rtol=0)  # the mass of the tail is right


def test_a_class_that_was_never_drawn_has_no_probability_at_any_temperature() -> None:
    found = through(Sampled(4, T))
    assert found.amax(dim=1).tolist() == [0.0, 0.0, 0.0]
    assert (found == LOWEST).sum() >= 3 * (CLASSES - 4)
    assert torch.isfinite(kd_loss(torch.zeros(3, CLASSES), found, T)).all()


def test_the_decision_is_stored_beside_draws_that_seldom_tell_it() -> None:
    answers = torch.randn(500, 1000, generator=torch.Generator().manual_seed(1))
    answers[torch.arange(500), torch.arange(500)] += 8.0
    keep = Sampled(64, 4.0)
    held = keep.encode(answers, place="a")
    assert torch.equal(keep.decided(held), answers.argmax(dim=1))
    told = keep.decode(held, 1000).argmax(dim=1)
    assert (told == answers.argmax(dim=1)).double().mean() < 0.2
    assert ALL.decided(ALL.encode(answers, place="a")) is None


def test_the_same_seed_and_place_draw_the_same_and_others_draw_others() -> None:
    same = [Sampled(16, T).encode(ANSWERS, place=place)["drawn"] for place in "aab"]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])
    assert not torch.equal(same[0], Sampled(16, T, seed=1).encode(ANSWERS, place="a")["drawn"])


@pytest.mark.parametrize(
    ("keep", "classes", "size"),
    [(ALL, 1000, 2000), (Sampled(64, 1.0), 1000, 130), (Sampled(64, 1.0), 50_000, 260), (Top(16), 1000, 66)],
)  # fmt: skip
def test_the_bytes_of_a_row_are_those_that_are_told(keep: Keep, classes: int, size: int) -> None:
    assert keep.bytes_a_row(classes) == size
    held = keep.encode(torch.zeros(2, classes).half(), place="a")
    assert sum(tensor.nbytes for tensor in held.values()) == 2 * size
    assert keep_of(keep.as_dict()) == keep


def test_a_form_that_takes_no_less_is_refused_with_both_sizes() -> None:
    with pytest.raises(SettingsError, match="kept as 'sampled' takes 130 bytes, whole it takes 20"):
        Sampled(64, 1.0).require_smaller(10)
    Sampled(64, 1.0).require_smaller(1000)


@pytest.mark.parametrize("keep", [Sampled(16, T), Top(4)], ids=["sampled", "top"])
def test_a_store_of_parts_opens_and_refuses_another_teacher_all_the_same(
    tmp_path: Path, keep: Keep
) -> None:
    names = tuple(f"c{at}" for at in range(CLASSES))
    schema = Schema("table", (5,), names, tuple(Feature(f"x{at}") for at in range(5)))
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(70, 5, generator=draw)
    rows = Dataset(inputs, torch.full((70,), -1), schema, torch.arange(70))
    weight = torch.randn(5, CLASSES, generator=draw)
    honest = oracle(lambda inputs, rows: inputs @ weight)

    def stored(**more: Any) -> dict[str, Any]:
        return build(
            honest,
            rows,
            teacher="t" * 64,
            work=tmp_path / "work",
            write=lambda name, data: write_atomic(tmp_path / "store" / name, data),
            shard_rows=30,
            keep=keep,
            **more,
        )

    assert stored() == stored()  # the second time from finished shards
    found = Knowledge.open(tmp_path / "store", rows, honest)
    assert found.keep == keep
    assert found.logits().shape == (70, CLASSES)
    size = sum(path.stat().st_size for path in (tmp_path / "store").glob("*.safetensors"))
    assert size < 70 * (keep.bytes_a_row(CLASSES) + 8) + 8 * 2 * CLASSES + 3 * 1000
    swapped = oracle(lambda inputs, rows: inputs @ weight.flip(1))
    with pytest.raises(UsageError, match="its classes in another order"):
        Knowledge.open(tmp_path / "store", rows, swapped)
