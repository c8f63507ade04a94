"""What holds on a device that is not the CPU: `python away_checks.py FOLDER CHECK …` tells as JSON
what is wrong with each, nothing where it holds.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from steps import classroom
from training.away import DEVICE
from training.blobs import blobs, net
from training.killed_fleet import NETS, members, rows_of

from stillhouse import config, plugins
from stillhouse.attacks.threat import Threat
from stillhouse.distillation.live import Pair
from stillhouse.distillation.objective import Distillation
from stillhouse.environment import place
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.device import CPU, chosen
from stillhouse.pipeline.body import run_body
from stillhouse.training.fit import FitSettings, Fitted, fit
from stillhouse.training.fleet import fit_together
from stillhouse.training.objective import Labels
from stillhouse.training.randomness import own_random_state
from stillhouse.workspace import Workspace, load_tensors

DATA, VAL = blobs(48), blobs(30, seed=1)
DATA.targets[5:9] = -1
SETTINGS = FitSettings(epochs=2, batch=24, ema=0.9, seed=3)
OWN: Mapping[str, Mapping[str, Any]] = {
    "crd": {"size": 8, "negatives": 16},
    "combine": {"parts": [{"name": "kd", "weight": 0.5}, {"name": "fitnet"}, {"name": "srd"}]},
    "by_class": {"shares": {"a": 0.5}},
    "igdm": {"steps": 2},
    "saad": {"steps": 2},
}
QUANTITIES = {"match", "teacher_bounded"}


def distilled(method: str, selector: str, device: torch.device) -> Fitted:
    """Distil from a torch teacher; everything that a method may ask is there."""
    student, teacher = net(DATA, seed=1).to(device), net(DATA, seed=9).eval().to(device)
    answers = logits_of(teacher, DATA.inputs)
    with own_random_state(0):
        objective = Distillation(
            method=config.plugin("methods", {"name": method, **OWN.get(method, {})}, where="m"),
            selector=config.plugin(
                "selectors", {"name": selector, **OWN.get(selector, {})}, where="s"
            ),
            supervised=0.3,
            answers=answers,
            pair=Pair(student, teacher, DATA, 4),
        )
    return fit(student, objective, DATA, VAL, SETTINGS)


def require_same(here: Fitted, there: Fitted) -> None:
    """Both must have learned the same bits, the second one on the device."""
    assert next(there.model.parameters()).device == DEVICE
    mine, its = here.model.state_dict(), there.model.state_dict()
    assert all(torch.equal(mine[name], its[name].cpu()) for name in mine), "other weights"
    assert here.history == there.history, "another curve"


def distils(method: str, selector: str = "all") -> None:
    require_same(distilled(method, selector, CPU), distilled(method, selector, DEVICE))


def refuses_to_mix() -> None:
    there = torch.ones(2).to(DEVICE)
    assert (there + there).sum().item() == 4
    with pytest.raises(RuntimeError, match="two devices"):
        there + torch.ones(2)


def is_found() -> None:
    assert chosen("auto").type == DEVICE.type
    assert chosen("cpu") == CPU


def trains_a_fleet() -> None:
    spec = NETS[1]  # with dropout, which a fleet draws on the CPU
    data = rows_of(spec)
    own, other = (members(spec, data, torch.float32, ema=0.9, steps=4) for _ in range(2))
    for member in other:
        member.model.to(DEVICE)
    for here, there in zip(
        fit_together(own, data, data), fit_together(other, data, data), strict=True
    ):
        assert isinstance(here, Fitted)
        assert isinstance(there, Fitted)
        require_same(here, there)


def goes_on(folder: Path) -> None:
    """A training with dropout that is left in the middle ends with the bits of one that was not,
    and its checkpoint is the CPU's as well.
    """
    settings = replace(SETTINGS, epochs=4)

    def learned(device: torch.device, name: str, until: float = 1.0) -> Fitted:
        model = net(DATA, dropout=0.2).to(device)
        path = folder / f"{name}.safetensors"
        return fit(model, Labels(), DATA, VAL, settings, checkpoint=path, until=until)

    whole = learned(DEVICE, "whole")
    learned(DEVICE, "left", until=0.5)
    held = load_tensors(folder / "left.safetensors")
    assert all(each.device == CPU for each in held.values())
    assert "random/away" in held
    (folder / "moved.safetensors").write_bytes((folder / "left.safetensors").read_bytes())
    again = learned(DEVICE, "left")
    mine, its = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(mine[name].cpu(), its[name].cpu()) for name in mine), "other weights"
    elsewhere = learned(CPU, "moved")
    assert elsewhere.history[: len(whole.history) // 2] == whole.history[: len(whole.history) // 2]
    assert elsewhere.steps == whole.steps


def attacks(name: str) -> None:
    made = config.plugin("attacks", {"name": name}, where="attack")
    model = net(DATA, seed=1).eval()
    rows, targets = VAL.inputs, model(VAL.inputs).argmax(dim=1)
    threat = Threat("linf", 0.4, replace(Threat("linf", 1.0).space, low=-torch.tensor(9.0)))
    threat = replace(threat, space=replace(threat.space, high=torch.tensor(9.0)))
    here = made(model, rows, targets, threat)
    there = made(model.to(DEVICE), rows.to(DEVICE), targets.to(DEVICE), threat)
    assert there.inputs.device == DEVICE
    assert here.success.any()
    torch.testing.assert_close(there.inputs.cpu(), here.inputs)
    assert torch.equal(there.success.cpu(), here.success)


def takes_steps(folder: Path) -> None:
    """Teacher, knowledge, tune and distill, with and without the device: the same files but for
    what they say of the device.
    """
    found = {}
    for device in ("cpu", "away"):
        root = folder / device
        Workspace(root).write_json("artifacts/validate/verdict.json", {"passed": True})
        params = classroom.changed("tune.trials=1", "distill.seeds=1", "distill.epochs=2")
        for name in ("prepare", "teacher", "knowledge", "tune", "distill"):
            run_body(
                __import__(f"stillhouse.steps.{name}", fromlist=["step"]).step,
                Workspace(root),
                params=params,
                place=replace(place(root), device=device),
                progress=lambda *_: None,
            )
        found[device] = root / "artifacts"
    told = json.loads((found["away"] / "distill/arms.json").read_text())
    assert torch.device(told["device"]).type == "away"
    assert json.loads((found["cpu"] / "distill/arms.json").read_text())["device"] == "cpu"
    for name in ("teacher/model/teacher.safetensors", "distill/student.safetensors"):
        assert (found["cpu"] / name).read_bytes() == (found["away"] / name).read_bytes(), name


def checks(folder: Path) -> dict[str, Callable[[], None]]:
    """Return every check by its name."""
    methods = sorted(set(plugins.available("methods")) - QUANTITIES)
    return {
        "refuses to mix": refuses_to_mix,
        "is found": is_found,
        **{f"method {name}": lambda name=name: distils(name) for name in methods},
        **{
            f"selector {name}": lambda name=name: distils("kd", name)
            for name in sorted(plugins.available("selectors"))
        },
        **{
            f"attack {name}": lambda name=name: attacks(name) for name in ("pgd", "apgd_dlr", "fab")
        },
        "fleet": trains_a_fleet,
        "resume": lambda: goes_on(folder),
        "steps": lambda: takes_steps(folder),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    found: dict[str, str] = {}
    folder, *wanted = sys.argv[1:]
    for name, check in checks(Path(folder)).items():
        if name not in wanted:
            continue
        try:
            check()
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(found))
