"""Many trainings in one loop: models of one architecture that differ in learning rate, temperature,
seed and the like, each trained as if it were alone.

One small model leaves most of a processor idle; k of them side by side take little longer than one.
They share nothing but the loop: a member whose loss is no number ends, and the others go on.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.errors import DataError, TrainingFailed
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import task_of
from stillhouse.failpoints import failpoint
from stillhouse.models.outputs import Batch
from stillhouse.training.blame import naming_lone_rows, not_finite
from stillhouse.training.descent import of_one_kind
from stillhouse.training.fit import Epoch, Fitted, Progress, silent
from stillhouse.training.fleet_state import Fleet, Member
from stillhouse.training.layers import CannotStack, chain_of
from stillhouse.training.optimizers import optimizer_settings

__all__ = ["Member", "fit_together", "kind_of", "why_apart"]


def why_apart(members: Sequence[Member]) -> str:
    """Return why these models cannot be trained in one loop; empty where they can."""
    settings = [member.settings for member in members]
    if any(own.patience is not None for own in settings):
        return "with patience each training ends at a time of its own"
    if len({(own.epochs, own.batch, own.steps) for own in settings}) > 1:
        return "they do not take the same steps"
    if not of_one_kind([optimizer_settings(own.optimizer, "optimizer") for own in settings]):
        return "they have different optimisers"
    if not all(member.objective.answer_alone for member in members):
        return "the loss needs more than the model's answers"
    if len({type(member.objective) for member in members}) > 1:
        return "they have different losses"
    if len({repr(member.model.net) for member in members}) > 1:
        return "their nets differ"
    try:
        chain_of(members[0].model.net, len(members))
    except CannotStack as error:
        return f"no way is known to stack {error}"
    return ""


def kind_of(member: Member) -> str | None:
    """Return a digest that is the same for models that can be trained in one loop; None for one
    that has to be trained by itself.
    """
    if why_apart([member]):
        return None
    own = member.settings
    rule = optimizer_settings(own.optimizer, "optimizer")
    traits = (
        repr(member.model.net),
        type(member.objective).__qualname__,
        type(rule).__qualname__,
        getattr(rule, "nesterov", None),
        (own.epochs, own.batch, own.steps),
    )
    return hashlib.sha256(repr(traits).encode()).hexdigest()


def fit_together(
    members: Sequence[Member],
    train: Dataset,
    val: Dataset,
    *,
    until: float = 1.0,
    checkpoint: Path | None = None,
    every: int = 250,
    progress: Progress = silent,
) -> list[Fitted | TrainingFailed]:
    """Train several models, each as `fit` would train it alone, up to rounding.

    The same members give the same bits, also if the process was killed in between and a checkpoint
    given. Members of a checkpoint may be left out later: the others go on from there.

    Args:
        members: `why_apart` finds nothing against them.
        train: The rows of all; each has its own order and its own targets of the objective.
        val: Rows for the last point of the curve.
        until: Share of the steps after which to stop; a later call with the checkpoint goes on.
        checkpoint: A file for the state, written every `every` steps and at the end.
        every: Steps between two checkpoints.
        progress: Called with (epochs done, all epochs, a note).

    Returns:
        For each member its training, or why it failed, the rows named.

    Raises:
        DataError: There is no row to learn from.
        CannotStack: The members' nets cannot run side by side.
        SettingsError: Batch norm gets one row.
    """
    if not len(train):
        raise DataError(
            "there are no rows to learn from.", where="train", fix="Give the train split rows."
        )
    fleet = Fleet.start(members, train)
    epochs = -(-fleet.steps // fleet.per_epoch)
    if remark := fleet.resume(checkpoint, val):
        progress(fleet.step // fleet.per_epoch, epochs, remark)
    goal = max(1, round(until * fleet.steps))
    moved = fleet.step < goal
    while fleet.step < goal and fleet.alive:
        with naming_lone_rows():
            fleet.last = losses = _step(fleet)
        if checkpoint is not None and fleet.step % every == 0 and fleet.step < goal:
            fleet.save(checkpoint)
        if fleet.step % fleet.per_epoch == 0 and fleet.alive:
            low, high = float(losses.min()), float(losses.max())
            note = f"{len(fleet.alive)} at once, losses {low:.4f} to {high:.4f}"
            progress(fleet.step // fleet.per_epoch, epochs, note)
    if checkpoint is not None and moved:
        fleet.save(checkpoint)
    fleet.unload()
    return [
        fleet.failed[at] if at in fleet.failed else _fitted(fleet, at, val)
        for at in range(len(members))
    ]


def _step(fleet: Fleet) -> Tensor:
    """Take one step of all members, and return their losses [k]; those that came to no number are
    members no more.
    """
    batch = fleet.batch()
    losses, gradients = _slopes(fleet, batch)
    lengths = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    if not math.isfinite(float((losses + lengths[:, 0]).sum())):  # one look; whose it is comes next
        sound = torch.isfinite(losses) & torch.isfinite(lengths[:, 0])
        places = torch.nonzero(~sound).flatten().tolist()
        for place in places:
            fleet.failed[fleet.alive[place]] = _blamed(fleet, batch, place)
        fleet.drop(places)
        losses, lengths, gradients = losses[sound], lengths[sound], gradients[sound]
    if fleet.alive:
        gradients = gradients.mul_((fleet.clip / (lengths + 1e-6)).clamp_(max=1.0))
        failpoint("training.batch")
        fleet.descent.step(fleet.stack.weights, gradients, fleet.share())
        _average(fleet)
    fleet.step += 1
    return losses


def _slopes(fleet: Fleet, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the losses [k] and their gradients [k, P], part by part of the fleet."""
    rows, found = _normalised(fleet, batch), []
    for members, stack, losses_of in fleet.parts:
        answers = stack(rows[members], training=True)
        losses = losses_of(answers, fleet.some(batch, members))
        (slopes,) = torch.autograd.grad(losses, stack.weights, torch.ones_like(losses))
        found.append((losses.detach(), slopes))
    if len(found) == 1:
        return found[0]
    return torch.cat([losses for losses, _ in found]), torch.cat([slopes for _, slopes in found])


def _normalised(fleet: Fleet, batch: Batch) -> Tensor:
    """All members have one normalisation, as they have one set of rows."""
    normalize = fleet.members[0].model.normalize
    rows = batch.inputs
    if len(rows) > 1 and rows.stride(0) == 0:
        one = normalize(rows[0])
        return one.expand(len(rows), *one.shape)
    return torch.unflatten(normalize(rows.flatten(0, 1)), 0, rows.shape[:2])


def _blamed(fleet: Fleet, batch: Batch, place: int) -> TrainingFailed:
    member = fleet.members[fleet.alive[place]]
    fleet.stack.unload(place, member.model)
    return not_finite("loss", member.model, member.objective, fleet.own(batch, place), fleet.train)


def _average(fleet: Fleet) -> None:
    if fleet.average is not None:
        early = (1 + fleet.step) / (10 + fleet.step)
        fleet.average.lerp_(fleet.stack.weights.detach(), 1 - fleet.decays.clamp(max=early))


def _fitted(fleet: Fleet, at: int, val: Dataset) -> Fitted:
    model, told = fleet.members[at].model.eval(), val.labelled
    score = nll = float("nan")
    if len(told):
        logits = logits_of(model, told.inputs)
        score, nll = task_of(fleet.train.schema).curve(logits.cpu(), told.targets.cpu())
    epoch = -(-fleet.step // fleet.per_epoch)
    loss = float(fleet.last[fleet.alive.index(at)]) if len(fleet.last) else float("nan")
    return Fitted(model, (Epoch(epoch, fleet.step, loss, score, nll),), epoch, fleet.step)
