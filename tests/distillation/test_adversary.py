"""The searches of robust methods, each beside the authors' written out in a plain loop."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.attacks.space import Space
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.adaad import Adaad
from stillhouse.distillation.methods.igdm import IGDM
from stillhouse.distillation.methods.rslad import RSLAD
from stillhouse.distillation.methods.saad import SAAD, saad_weights
from stillhouse.distillation.methods.trades import TRADES
from stillhouse.models.outputs import Batch, Outputs

EPSILON, STEPS, DONE = 0.1, 7, 0.3
ROWS = torch.rand(10, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGETS = torch.arange(10) % 4


def net(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(36 * width, 4)).double()


@dataclass
class Room:
    """Stands for the classroom of a torch teacher."""

    student: nn.Module
    teacher: nn.Module
    space: Space

    def stored(self, batch: Batch) -> Tensor:
        return self.ask(batch, batch.inputs).detach()

    def ask(self, batch: Batch, inputs: Tensor) -> Tensor:
        return self.teacher(inputs)

    def progress(self, batch: Batch) -> float:
        return DONE


@pytest.fixture
def room() -> Room:
    torch.manual_seed(0)
    teacher = net(6).eval().requires_grad_(False)
    return Room(net(4).eval(), teacher, Space.box(0.0, 1.0))


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) as torch has it, per row."""
    return F.kl_div(F.log_softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="none").sum(
        dim=1
    )


def climbed(loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Steps by the sign of the gradient from 0.001 beside the row."""
    drawn = torch.randn(ROWS.shape, generator=torch.Generator().manual_seed(0)).double()
    at = _inside(ROWS + 0.001 * drawn)
    for _ in range(STEPS):
        at.requires_grad_()
        [gradient] = torch.autograd.grad(loss(at).sum(), at)
        at = _inside(at.detach() + EPSILON / 4 * gradient.sign())
    return at


def _inside(at: Tensor) -> Tensor:
    return torch.clamp(torch.min(torch.max(at, ROWS - EPSILON), ROWS + EPSILON), 0, 1)


def followed(room: Room) -> Callable[[Tensor], Tensor]:
    """The teacher's clean answer, the target's logit moved along its gradient."""
    here = ROWS.clone().requires_grad_()
    own = torch.arange(len(ROWS))
    [slope] = torch.autograd.grad(room.teacher(here)[own, TARGETS].sum(), here)
    clean = room.teacher(ROWS)

    def told(at: Tensor) -> Tensor:
        moved = torch.einsum("bchw,bchw->b", slope, at - ROWS)
        return clean.index_put((own, TARGETS), moved, accumulate=True)

    return told


def loss_of(name: str, room: Room, at: Tensor) -> Tensor:
    """The authors' loss of attacked rows, a scalar."""
    student, teacher = room.student, room.teacher
    here, there = student(at), student((2 * ROWS - at).clamp(0, 1))
    its, other = teacher(at), teacher((2 * ROWS - at).clamp(0, 1))
    change = DONE * divergence(here - there, its - other)
    if name == "TRADES":
        clean = student(ROWS)
        return F.cross_entropy(clean, TARGETS) + 6 * divergence(here, clean).mean()
    if name == "RSLAD":
        told = teacher(ROWS)
        return (5 / 6 * divergence(here, told) + 1 / 6 * divergence(student(ROWS), told)).mean()
    if name == "Adaad":
        return divergence(here, its).mean()
    if name == "IGDM":
        return (divergence(here, its) + change).mean()
    return (saad_weights(its)[0] * (divergence(here, its) + change)).mean()


@pytest.mark.parametrize("make", [TRADES, RSLAD, Adaad, IGDM, SAAD])
def test_a_method_finds_the_authors_rows_and_has_the_authors_loss_there(
    room: Room, make: Callable[..., Method]
):
    student, teacher = room.student, room.teacher
    climbs: dict[str, Callable[[Tensor], Tensor]] = {
        "TRADES": lambda at: divergence(student(at), student(ROWS).detach()),
        "RSLAD": lambda at: divergence(student(at), teacher(ROWS)),
        "Adaad": lambda at: divergence(student(at), teacher(at)),
        "IGDM": lambda at: divergence(student(at), teacher(at)),
        "SAAD": lambda at: divergence(student(at), followed(room)(at)),
    }
    name = make.__name__
    method = make(epsilon=EPSILON, steps=STEPS)
    method.enter(room)
    batch = Batch(ROWS, TARGETS, torch.ones(10, dtype=torch.bool), torch.arange(10))
    found = method.inputs(student, batch, torch.Generator().manual_seed(0))
    wanted = climbed(climbs[name])
    assert (found != ROWS).any()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8)  # epsilon is a float32
    loss = method(Outputs(student(found)), Outputs(room.stored(batch)), batch).mean()
    torch.testing.assert_close(loss, loss_of(name, room, found))
