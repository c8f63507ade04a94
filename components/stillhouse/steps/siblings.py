"""Models that grew up beside the shipped student, the student's own trials among them: an attacker
who has the data trains one like them, and what fools it may fool the student.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from stillhouse.attacks.transfer import TEACHER, Transfer
from stillhouse.distillation.arms import STUDENT, Arm, arms_of
from stillhouse.distillation.settings import Settings, read
from stillhouse.errors import DataError, SettingsError, UsageError, nearest
from stillhouse.robustness.case import Case
from stillhouse.steps import tried
from stillhouse.steps.student import filled
from stillhouse.workspace import StepFiles

FILE = "distill/siblings.safetensors"
ARMS = "distill/arms.json"
READS = (FILE, ARMS, *tried.READS)
TRIALS = "trials"  # stands for the models of the best trials, however many were kept
_SEED: Mapping[Arm, int] = {STUDENT: 1}  # the student of seed 0 is the one that ships; else 0


def weights(models: Mapping[tuple[Arm, int], nn.Module]) -> dict[str, Tensor]:
    """Return the weights that are kept, by `<arm>/<parameter>`: of each control the model of seed
    0, of the student that of seed 1, where there is one.

    Args:
        models: By arm and seed.
    """
    return {
        f"{arm}/{name}": tensor
        for (arm, seed), model in models.items()
        if seed == _SEED.get(arm, 0)
        for name, tensor in model.state_dict().items()
    }


def known(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the siblings that settings will leave behind, search spaces and all."""
    section, kept = params.get("distill") or {}, (params.get("tune") or {}).get("siblings", 1)
    seeds, found = section.get("seeds", Settings.seeds), arms_of(section)
    trained = found if seeds != 1 else tuple(arm for arm in found if arm not in _SEED)
    return (*trained, TRIALS) if kept else trained


def require_known(cases: Sequence[Case], params: Mapping[str, Any], where: str) -> None:
    """Refuse a transfer from a model that there will not be.

    Args:
        cases: The attacks.
        params: All of them.
        where: The path of the list of attacks.

    Raises:
        SettingsError: There is one.
    """
    there = [TEACHER, *known(params)]
    for at, case in enumerate(cases):
        for name in case.attack.names if isinstance(case.attack, Transfer) else ():
            if name not in there:
                raise SettingsError(
                    _NONE_KEPT.get(name, f"there is no model '{name}'."),
                    where=f"{where}.{at}.surrogates",
                    fix=nearest(name, there),
                )


_NONE_KEPT = {
    STUDENT: "'student' is the student of another seed, and distill.seeds is 1.",
    TRIALS: "'trials' are the models of the best trials, and tune.siblings is 0.",
}


def led(cases: Sequence[Case], files: StepFiles, teacher: nn.Module | None, why: str) -> list[Case]:
    """Return the attacks, those with models in place of names that are led by siblings.

    Args:
        cases: As settings name them.
        files: Where siblings are.
        teacher: The teacher, where it gives gradients.
        why: Why it gives none.

    Raises:
        UsageError: The teacher is named and gives none.
        DataError: A sibling was not kept.
        Corrupt: The weights do not fit the architecture that arms.json names.
    """
    return [_led(case, files, teacher, why) for case in cases]


def _led(case: Case, files: StepFiles, teacher: nn.Module | None, why: str) -> Case:
    attack = case.attack
    if not isinstance(attack, Transfer) or attack.names in ((), (TEACHER,)):
        return case
    models: dict[str, list[tuple[str, nn.Module]]] = {}
    for name in dict.fromkeys(attack.names):
        if name == TEACHER:
            if teacher is None:
                raise UsageError(why, fix="Leave the teacher out of the transfer's surrogates.")
            models[name] = [(name, teacher)]
        else:
            models[name] = of_trials(files) if name == TRIALS else [(name, load(files, name))]
    who = [each for name in attack.names for each in models[name]]
    names = [name for name, _ in who]  # which trials they are is known only now
    led = Transfer(steps=attack.steps, surrogates=names).given(dict(who))
    return replace(case, attack=led, settings={**case.settings, "surrogates": names})


def of_trials(files: StepFiles) -> list[tuple[str, nn.Module]]:
    """Return the models of the student's best trials by name, best first. Errors as `led`."""
    there = all(files.path(name).is_file() for name in tried.READS)
    found = tried.read(files) if there else []
    if not found:
        raise DataError(
            "the step `tune` kept no trial's model.",
            where=tried.FILE,
            fix="Run it again with tune.siblings above 0, or leave 'trials' out."
            if there
            else f"A dvc.yaml of an earlier version lacks it: write {' and '.join(_LACKING)} under "
            "the outs of `tune` and the deps of `robustness`, and run again.",
        )
    return [(one.name, filled(files, one.student, own, tried.FILE)) for one, own in found]


_LACKING = [f"artifacts/{name}" for name in tried.READS]


def load(files: StepFiles, name: Arm) -> nn.Module:
    """Return a sibling that `distill` kept, in evaluation mode, data space in, logits out.

    Errors as `led`.
    """
    kept, begins = files.read_tensors(FILE), f"{name}/"
    settings = {one["name"]: one["settings"] for one in files.read_json(ARMS)["arms"]}
    own = {key[len(begins) :]: kept[key] for key in kept if key.startswith(begins)}
    if not own or name not in settings:
        raise DataError(
            f"the step `distill` kept no '{name}'.",
            where=FILE,
            fix="Run it again with this control, or leave the name out.",
        )
    return filled(files, read(settings[name]).student, own, FILE)
