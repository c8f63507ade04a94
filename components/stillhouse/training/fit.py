"""The one training loop. It knows a loss, never where the loss comes from."""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.failpoints import failpoint
from stillhouse.models.classifier import Classifier
from stillhouse.training.blame import naming_lone_rows, not_finite, require_slope
from stillhouse.training.objective import Objective
from stillhouse.training.pace import Pace, lay
from stillhouse.training.randomness import own_random_state
from stillhouse.training.ranks import ALONE, Ranks
from stillhouse.training.settings import FitSettings
from stillhouse.training.spread import spread
from stillhouse.training.state import Epoch, Progress, Training

__all__ = ["Epoch", "FitSettings", "Fitted", "Objective", "Progress", "fit", "silent"]


def silent(done: int, total: int, note: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: The model that was given, in evaluation mode, with the weights that were kept.
        history: The training curve.
        best_epoch: The epoch whose weights were kept; the last one without patience.
        steps: Optimiser steps taken.
    """

    model: Classifier
    history: tuple[Epoch, ...]
    best_epoch: int
    steps: int


def fit(
    model: Classifier,
    objective: Objective,
    train: Dataset,
    val: Dataset,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    every: int = 250,
    until: float = 1.0,
    pace: Pace = "plain",
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> Fitted:
    """Train a model to make an objective small.

    The same seed gives the same bits, also if the process was killed in between and a checkpoint
    given.

    Args:
        model: Trained in place.
        objective: The loss of a batch; parameters of its own are trained too.
        train: Rows, labelled or not; the objective's rows are positions in it.
        val: Rows that choose, with patience, and draw the curve; unlabelled ones are left out.
        settings: How long, how fast, from which seed.
        checkpoint: A file for the state, written every `every` steps and at the end, so that a
            finished training is not done again; the caller removes it.
        every: Steps between two checkpoints.
        until: Share of the steps after which to stop; a later call with the checkpoint goes on.
        pace: How the model is laid out; it changes last bits.
        ranks: The processes that train it together, all of them in this call with the same
            arguments; each asks the model about its share of every batch. It changes last bits.
        progress: Called with (epochs done, all epochs, a note).

    Raises:
        TrainingFailed: Loss or gradient is NaN or infinite; the message names the rows.
        DataError: There is no row to learn from.
        UsageError: The loss has no gradient.
        SettingsError: The optimiser does not fit, patience has no labelled val row to look at, or
            batch norm gets one row.
    """
    with own_random_state(settings.seed), naming_lone_rows():
        run = Training.start(model, objective, train, val, settings)
        run.resume(checkpoint, progress)
        ranks.require(run.order.smallest, run.step)
        asked, goal = spread(lay(model, pace), ranks), max(1, round(until * run.steps))
        while not run.finished and run.step < goal:
            batch = run.batch(pace)
            run.set_learning_rate()
            loss = objective(asked, batch)
            if not math.isfinite(found := loss.item()):
                raise not_finite("loss", model, objective, batch, train)
            require_slope(loss, batch)
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            ranks.add_up(model)
            if not math.isfinite(nn.utils.clip_grad_norm_(run.weights, settings.clip).item()):
                raise not_finite("gradient", model, objective, batch, train)
            failpoint("training.batch")
            run.optimizer.step()
            objective.after_step(model)
            run.average.update(model, run.step)
            run.count(found)
            if run.at_report:
                run.judge(progress)
            due = run.step % every == 0 or run.finished or run.step == goal
            if checkpoint is not None and due and ranks.leads:
                run.save(checkpoint)
        best_epoch = run.keep()
    return Fitted(model.eval(), tuple(run.history), best_epoch, run.step)
