import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training.blobs import blobs, net
from training.killed import learned

from stillhouse import failpoints
from stillhouse.errors import DataError, SettingsError, TrainingFailed
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.metrics import accuracy
from stillhouse.evaluation.tasks import CLASSIFICATION
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Batch
from stillhouse.training.fit import FitSettings, Objective, fit
from stillhouse.training.objective import Labels, labelled_loss
from stillhouse.workspace import load_tensors

TRAIN, VAL = blobs(60), blobs(30, seed=1)
HERE = Path(__file__).parent


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, its = a.state_dict(), b.state_dict()
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


def test_a_net_learns_the_clouds():
    fitted = fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        FitSettings(epochs=60, optimizer={"name": "adamw", "lr": 0.03}),
    )
    found = accuracy(logits_of(fitted.model, VAL.inputs), VAL.targets)
    assert found > 0.8
    assert fitted.history[-1].loss < fitted.history[0].loss
    assert fitted.steps == 60
    assert not fitted.model.training


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    one, two, other = (
        fit(
            net(TRAIN, dropout=0.3),
            Labels(),
            TRAIN,
            VAL,
            FitSettings(epochs=5, batch=16, seed=seed),
        )
        for seed in (3, 3, 4)
    )
    assert same(one.model, two.model)
    assert one.history == two.history
    assert not same(one.model, other.model)


def test_the_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    fit(net(TRAIN, dropout=0.3), Labels(), TRAIN, VAL, FitSettings(epochs=2))
    assert torch.equal(before, torch.get_rng_state())


def test_steps_are_epochs_times_batches_unless_they_are_given():
    assert fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=3, batch=16)).steps == 12
    few = TRAIN.take(torch.arange(12))
    fitted = fit(net(few), Labels(), few, VAL, FitSettings(epochs=3, batch=16, steps=12))
    assert fitted.steps == 12
    assert fitted.history[-1].epoch == 12


def test_the_curve_has_at_most_forty_points_and_ends_at_the_last_step():
    fitted = fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=100))
    assert len(fitted.history) == 40
    assert fitted.history[-1].step == fitted.steps == 100


def test_without_val_rows_the_curve_has_no_accuracy_and_training_goes_on():
    fitted = fit(net(TRAIN), Labels(), TRAIN, VAL.take(torch.arange(0)), FitSettings(epochs=2))
    assert math.isnan(fitted.history[-1].val_score)
    assert fitted.steps == 2


def test_patience_without_val_rows_is_refused():
    with pytest.raises(SettingsError, match="patience needs labelled val rows"):
        fit(
            net(TRAIN),
            Labels(),
            TRAIN,
            VAL.take(torch.arange(0)),
            FitSettings(epochs=2, patience=1),
        )


def test_training_without_rows_is_refused():
    with pytest.raises(DataError, match="no rows to learn from"):
        fit(net(TRAIN), Labels(), TRAIN.take(torch.arange(0)), VAL, FitSettings(epochs=2))


def test_patience_stops_early_and_keeps_the_best_weights():
    settings = FitSettings(
        epochs=300, batch=8, patience=10, optimizer={"name": "adamw", "lr": 0.05}
    )
    fitted = fit(net(TRAIN), Labels(), TRAIN, VAL, settings)
    best = max(fitted.history, key=lambda epoch: (epoch.val_score, -epoch.val_loss))
    assert fitted.history[-1].epoch == fitted.best_epoch + 10 < 300
    assert fitted.best_epoch == best.epoch
    assert accuracy(logits_of(fitted.model, VAL.inputs), VAL.targets) == best.val_score


def test_without_patience_the_last_weights_are_kept():
    fitted = fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=20))
    assert fitted.best_epoch == 20
    assert (
        accuracy(logits_of(fitted.model, VAL.inputs), VAL.targets) == fitted.history[-1].val_score
    )


def test_an_average_of_the_weights_is_what_is_kept():
    plain = fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=20))
    averaged = fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=20, ema=0.9))
    assert not same(plain.model, averaged.model)
    assert (
        accuracy(logits_of(averaged.model, VAL.inputs), VAL.targets)
        == averaged.history[-1].val_score
    )


def test_a_longer_gradient_is_cut_to_the_norm():
    start = net(TRAIN)
    weights = [weight.detach().clone() for weight in start.parameters()]
    sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    fitted = fit(
        start,
        Labels(),
        TRAIN,
        VAL,
        FitSettings(epochs=1, warmup=0.0, clip=0.01, optimizer=sgd),
    )
    moved = torch.sqrt(
        sum(((a - b) ** 2).sum() for a, b in zip(weights, fitted.model.parameters(), strict=True))
    )
    torch.testing.assert_close(moved, torch.tensor(0.01), rtol=1e-3, atol=0)


class Scaled(Objective):
    """Has a parameter of its own, and counts what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.told = 0

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        return labelled_loss(CLASSIFICATION, model(batch.inputs) * self.scale, batch)

    def after_step(self, model: Classifier) -> None:
        self.told += 1


def test_the_objectives_own_parameters_are_trained_and_it_is_told_of_each_step():
    objective = Scaled()
    fit(net(TRAIN), objective, TRAIN, VAL, FitSettings(epochs=5))
    assert not torch.equal(objective.scale.detach(), torch.ones(3))
    assert objective.told == 5


def test_a_loss_that_is_not_a_number_names_the_rows_by_their_source():
    inputs = TRAIN.inputs.clone()
    inputs[[7, 21], 0] = math.nan
    with pytest.raises(
        TrainingFailed, match=r"the loss is not finite at rows 1007, 1021\."
    ) as caught:
        fit(
            net(TRAIN),
            Labels(),
            replace(TRAIN, inputs=inputs).take(torch.arange(60)),
            VAL,
            FitSettings(epochs=2, seed=1),
        )
    assert caught.value.exit_code == 1


def test_weights_that_diverge_are_told_apart_from_bad_rows():
    with pytest.raises(TrainingFailed, match="Lower the learning rate"):
        fit(
            net(TRAIN),
            Labels(),
            TRAIN,
            VAL,
            FitSettings(epochs=50, clip=1e30, warmup=0.0, optimizer={"name": "sgd", "lr": 1e30}),
        )


def test_a_loss_that_never_was_a_number_is_no_divergence():
    model = net(TRAIN)
    with torch.no_grad():
        next(model.net.parameters()).fill_(math.nan)
    with pytest.raises(TrainingFailed, match="before a step was taken"):
        fit(model, Labels(), TRAIN, VAL, FitSettings(epochs=1))


def test_batch_norm_of_one_row_is_told_and_a_batch_of_two_learns():
    model = Classifier(
        Normalize.empty(TRAIN.schema), nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    )
    rows = TRAIN.take(torch.arange(3))
    with pytest.raises(SettingsError, match="a batch of one row leaves batch norm nothing"):
        fit(model, Labels(), rows, VAL, FitSettings(epochs=1, batch=2))
    fit(model, Labels(), rows, VAL, FitSettings(epochs=1, batch=3))


class Root(Objective):
    """A finite loss whose gradient is infinite at one row."""

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        logits = model(batch.inputs)
        return torch.where(batch.rows == 9, logits[:, 0] * 0, 1.0).sqrt().mean()


def test_a_gradient_that_is_not_a_number_names_the_row():
    with pytest.raises(TrainingFailed, match=r"the gradient is not finite at row 1009\."):
        fit(net(TRAIN), Root(), TRAIN, VAL, FitSettings(epochs=1))


def test_progress_tells_epochs():
    told: list[tuple[int, int, str]] = []
    fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        FitSettings(epochs=3),
        progress=lambda *said: told.append(said),
    )
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert "loss" in told[0][2]


def test_a_training_that_is_killed_within_a_batch_goes_on_to_the_same_bits(tmp_path: Path):
    command = [sys.executable, str(HERE / "killed.py"), str(tmp_path / "checkpoint")]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    cut = subprocess.run(
        command,
        env={**environment, "STILLHOUSE_FAILPOINTS": "training.batch=kill@57"},
        capture_output=True,
        check=False,
    )
    assert (cut.returncode, cut.stdout) == (-9, b"")
    assert (tmp_path / "checkpoint").is_file()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.stdout == learned(None), again.stderr


@pytest.mark.parametrize("at", [2, 7, 30])
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_training_that_fails_anywhere_goes_on_to_the_same_bits(
    tmp_path: Path, at: int, name: str
):
    settings = FitSettings(epochs=12, batch=20, ema=0.5, optimizer={"name": name})
    whole_objective, cut_objective = Scaled(), Scaled()
    whole = fit(net(TRAIN, dropout=0.3), whole_objective, TRAIN, VAL, settings)
    failpoints.arm(f"training.batch=raise@{at}")
    try:
        with pytest.raises(failpoints.Injected):
            fit(
                net(TRAIN, dropout=0.3),
                Scaled(),
                TRAIN,
                VAL,
                settings,
                checkpoint=tmp_path / "c",
                every=5,
            )
    finally:
        failpoints.arm("")
    cut = fit(
        net(TRAIN, dropout=0.3),
        cut_objective,
        TRAIN,
        VAL,
        settings,
        checkpoint=tmp_path / "c",
        every=5,
    )
    assert same(whole.model, cut.model)
    assert same(whole_objective, cut_objective)
    assert whole.history == cut.history


class Drawing(Labels):
    """Draws from every global generator there is, as somebody's plugin may."""

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        weight = random.gauss(1, 0.1) + np.random.standard_normal() / 10 + torch.rand(()).item()
        return super().forward(model, batch) * weight


@pytest.mark.parametrize("at", [7, 8])
def test_a_plugin_that_draws_from_pythons_or_numpys_generator_goes_on_to_the_same_bits(
    tmp_path: Path, at: int
):
    settings, states = (
        FitSettings(epochs=12, batch=20, seed=2),
        (random.getstate(), np.random.get_state()[1].tolist()),
    )
    whole = fit(net(TRAIN), Drawing(), TRAIN, VAL, settings)
    failpoints.arm(f"training.batch=raise@{at}")
    try:
        with pytest.raises(failpoints.Injected):
            fit(net(TRAIN), Drawing(), TRAIN, VAL, settings, checkpoint=tmp_path / "c", every=5)
    finally:
        failpoints.arm("")
    random.seed(99)
    np.random.seed(99)
    cut = fit(net(TRAIN), Drawing(), TRAIN, VAL, settings, checkpoint=tmp_path / "c", every=5)
    random.setstate(states[0])
    assert same(whole.model, cut.model)
    assert whole.history == cut.history
    assert not same(
        whole.model, fit(net(TRAIN), Drawing(), TRAIN, VAL, replace(settings, seed=3)).model
    )


def test_the_callers_other_generators_are_left_alone_too():
    before = random.getstate(), np.random.get_state()[1].tolist()
    fit(net(TRAIN), Drawing(), TRAIN, VAL, FitSettings(epochs=2))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_a_checkpoint_with_one_changed_bit_is_not_used(tmp_path: Path):
    told: list[str] = []
    settings = FitSettings(epochs=12, batch=20)
    whole = fit(net(TRAIN), Labels(), TRAIN, VAL, settings, checkpoint=tmp_path / "c")
    data = bytearray((tmp_path / "c").read_bytes())
    data[-100] ^= 1  # within some tensor: the file is read without complaint
    (tmp_path / "c").write_bytes(bytes(data))
    assert load_tensors(tmp_path / "c")
    again = fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        settings,
        checkpoint=tmp_path / "c",
        progress=lambda done, total, note: told.append(note),
    )
    assert told[0] == "starting anew: c differs from its digest"
    assert same(whole.model, again.model)
    told.clear()
    fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        settings,
        checkpoint=tmp_path / "c",
        progress=lambda done, total, note: told.append(note),
    )
    assert told == ["going on after step 36"]


class Counting(Labels):
    """Counts its steps where a checkpoint's identity does not look."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[int] = []

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        self._calls.append(batch.step)
        return super().forward(model, batch)


def test_a_finished_training_is_not_done_again(tmp_path: Path):
    first, second = Counting(), Counting()
    made = [
        fit(net(TRAIN), objective, TRAIN, VAL, FitSettings(epochs=6), checkpoint=tmp_path / "c")
        for objective in (first, second)
    ]
    assert first._calls == [0, 1, 2, 3, 4, 5]
    assert second._calls == []
    assert same(made[0].model, made[1].model)
    assert made[0].history == made[1].history


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"epochs": 7}, {"optimizer": {"name": "adamw", "lr": 0.01}}]
)
def test_a_checkpoint_of_other_settings_is_not_used(tmp_path: Path, change: dict[str, object]):
    told: list[str] = []
    fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=6), checkpoint=tmp_path / "c")
    other = replace(FitSettings(epochs=6), **change)
    mine = fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        other,
        checkpoint=tmp_path / "c",
        progress=lambda done, total, note: told.append(note),
    )
    assert same(mine.model, fit(net(TRAIN), Labels(), TRAIN, VAL, other).model)
    assert "of another training" in told[0]


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", b"garbage" * 100])
def test_a_broken_checkpoint_costs_time_and_nothing_else(tmp_path: Path, data: bytes):
    told: list[str] = []
    (tmp_path / "c").write_bytes(data)
    mine = fit(
        net(TRAIN),
        Labels(),
        TRAIN,
        VAL,
        FitSettings(epochs=3),
        checkpoint=tmp_path / "c",
        progress=lambda done, total, note: told.append(note),
    )
    assert same(mine.model, fit(net(TRAIN), Labels(), TRAIN, VAL, FitSettings(epochs=3)).model)
    assert told[0].startswith("starting anew")


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path):
    settings = FitSettings(epochs=12, batch=20)
    failpoints.arm("training.after_checkpoint=raise@1")
    try:
        with pytest.raises(failpoints.Injected):
            fit(net(TRAIN), Labels(), TRAIN, VAL, settings, checkpoint=tmp_path / "c", every=5)
        kept = (tmp_path / "c").read_bytes()
        failpoints.arm("workspace.before_fsync=enospc")
        with pytest.raises(OSError, match="No space left"):
            fit(net(TRAIN), Labels(), TRAIN, VAL, settings, checkpoint=tmp_path / "c", every=5)
    finally:
        failpoints.arm("")
    assert (tmp_path / "c").read_bytes() == kept
    assert os.listdir(tmp_path) == ["c"]
