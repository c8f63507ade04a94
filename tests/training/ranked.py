"""One process of a training in several: `python ranked.py FOLDER RANK COUNT [CHECK …]`; the first
one tells as JSON what is wrong with each check, nothing where it holds.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as group
from torch import Tensor, nn
from training.blobs import blobs, net
from training.killed_fleet import NETS, members, rows_of

from stillhouse import config, failpoints, workspace
from stillhouse.distillation.live import Pair
from stillhouse.distillation.objective import Distillation
from stillhouse.errors import SettingsError, TrainingFailed, UsageError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.classifier import Classifier
from stillhouse.training.fit import FitSettings, Fitted, fit
from stillhouse.training.objective import Labels
from stillhouse.training.randomness import own_random_state
from stillhouse.training.ranks import ALONE, Ranks

DATA, VAL = blobs(50), blobs(30, seed=1)
DATA.targets[5:9] = -1
SETTINGS = FitSettings(epochs=13, batch=16, ema=0.9, seed=3, steps=50)
LIMIT = {torch.float32: 1e-5, torch.float64: 1e-12}
METHODS: dict[str, dict[str, Any]] = {
    "dist": {},
    "rkd": {"layer": "penultimate"},
    "crd": {"size": 8, "negatives": 16},
    "igdm": {"steps": 2},
    "combine": {"parts": [{"name": "kd"}, {"name": "fitnet"}, {"name": "ema_teacher"}]},
}
SHORT = 20  # steps of a method, whose search or whose angles are slow


def require_near(one: Fitted, other: Fitted, limit: float) -> None:
    mine, its = one.model.state_dict(), other.model.state_dict()
    apart = {name: float((mine[name] - its[name]).abs().max()) for name in mine}
    worst = max(apart, key=lambda name: apart[name])
    assert apart[worst] <= limit, f"{worst} differs by {apart[worst]:.3g}"
    assert one.steps == other.steps
    losses = [abs(a.loss - b.loss) for a, b in zip(one.history, other.history, strict=True)]
    assert max(losses) <= limit, f"a loss differs by {max(losses):.3g}"


def trains(spec: dict[str, Any], dtype: torch.dtype) -> None:
    """Two sizes of batches, 12 and 13 rows, so that the shares differ too."""
    data = replace(rows_of(spec), inputs=rows_of(spec).inputs.to(dtype))
    found = []
    for ranks in (ALONE, Ranks.joined()):
        own = members(spec, data, dtype)[1]
        settings = replace(own.settings, ema=0.9)
        found.append(fit(own.model, own.objective, data, data, settings, ranks=ranks))
    start = members(spec, data, dtype)[1].model.state_dict()
    moved = max(
        float((start[name] - held).abs().max())
        for name, held in found[0].model.state_dict().items()
    )
    assert moved > 1e-3, "nothing was learned"
    require_near(*found, LIMIT[dtype])


def distils(method: str) -> None:
    double = replace(DATA, inputs=DATA.inputs.double())
    found = []
    for ranks in (ALONE, Ranks.joined()):
        student, teacher = net(DATA, seed=1).double(), net(DATA, seed=9).double().eval()
        with own_random_state(0):
            objective = Distillation(
                method=config.plugin("methods", {"name": method, **METHODS[method]}, where="m"),
                selector=config.plugin("selectors", {"name": "all"}, where="s"),
                supervised=0.3,
                answers=logits_of(teacher, double.inputs),
                pair=Pair(student, teacher, double, SHORT),
            ).double()
        settings = replace(SETTINGS, steps=SHORT)
        found.append(fit(student, objective, double, double, settings, ranks=ranks))
    require_near(*found, LIMIT[torch.float64])


def names_the_row() -> None:
    bad = replace(DATA, inputs=DATA.inputs.clone())
    bad.inputs[17] = torch.inf
    with pytest.raises(TrainingFailed, match=r"not finite at row 1017\."):
        fit(net(DATA), Labels(), bad, VAL, SETTINGS, ranks=Ranks.joined())


def refuses() -> None:
    few = DATA.take(torch.arange(9))
    settings = replace(SETTINGS, batch=1)
    with pytest.raises(SettingsError, match="cannot be shared by 2 processes"):
        fit(net(DATA), Labels(), few, VAL, settings, ranks=Ranks.joined())
    model = net(DATA)
    noisy = Classifier(model.normalize, nn.Sequential(model.net, Noise()))
    with pytest.raises(UsageError, match="otherwise than by nn"):
        fit(noisy, Labels(), DATA, VAL, SETTINGS, ranks=Ranks.joined())
    half = replace(SETTINGS, steps=2)
    with pytest.raises(SettingsError, match="bfloat16"):
        fit(net(DATA), Labels(), DATA, VAL, half, pace="bf16", ranks=Ranks.joined())


class Noise(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows + torch.rand(())


def learned(checkpoint: Path | None, ranks: Ranks) -> str:
    model = net(DATA, dropout=0.2)
    fitted = fit(model, Labels(), DATA, VAL, SETTINGS, checkpoint=checkpoint, every=10, ranks=ranks)
    told = workspace.dump_tensors(fitted.model.state_dict(), note=repr(fitted.history))
    return workspace.sha256_bytes(told)


def goes_on(folder: Path) -> None:
    """After one of two was killed in the middle, both come to the bits of two that were not."""
    checkpoint = folder / "killed.safetensors"
    assert int(workspace.load_tensors(checkpoint)["step"][0]) == 20
    assert learned(checkpoint, Ranks.joined()) == learned(None, Ranks.joined())


def works_by_fabric() -> None:
    """Fabric joins the processes that are there, and says which one this is."""
    fabric = pytest.importorskip("lightning_fabric").Fabric(
        accelerator="cpu", devices=group.get_world_size(), strategy="ddp"
    )
    fabric.launch()
    assert Ranks.of(fabric) == Ranks.joined()
    single = replace(SETTINGS, steps=4)
    one, other = (
        fit(net(DATA), Labels(), DATA, VAL, single, ranks=ranks)
        for ranks in (ALONE, Ranks.of(fabric))
    )
    require_near(one, other, LIMIT[torch.float32])


def checks(folder: Path) -> dict[str, Callable[[], None]]:
    nets = {"convnet": NETS[3], "dropout": NETS[1], "series": NETS[4]}
    return {
        **{
            f"net {name} {str(dtype).removeprefix('torch.')}": (
                lambda spec=spec, dtype=dtype: trains(spec, dtype)
            )
            for name, spec in nets.items()
            for dtype in LIMIT
        },
        **{f"method {name}": lambda name=name: distils(name) for name in METHODS},
        "row": names_the_row,
        "refused": refuses,
        "resume": lambda: goes_on(folder),
        "fabric": works_by_fabric,
    }


def main(folder: Path, rank: int, count: int, wanted: list[str]) -> None:
    meet = f"file://{folder}/{'checks' if wanted else 'killed'}.meet"
    group.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=count, timeout=timedelta(minutes=10)
    )
    if not wanted:
        failpoints.arm(os.environ.get("STILLHOUSE_FAILPOINTS", ""))
        learned(folder / "killed.safetensors", Ranks.joined())
    found: dict[str, str] = {}
    for name in wanted:
        try:
            checks(folder)[name]()
            found[name] = ""
        except pytest.skip.Exception as why:
            found[name] = f"skipped: {why}"
        except Exception:
            found[name] = traceback.format_exc()
    if rank == 0:
        sys.stdout.write(json.dumps(found))
    group.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
