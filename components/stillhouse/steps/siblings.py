"""Models that grew up beside the shipped student: an attacker who has the data trains one like
them, and what fools it may fool the student.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.transfer import TEACHER, Transfer
from stillhouse.distillation.arms import STUDENT, Arm, arms_of
from stillhouse.distillation.settings import Settings, read
from stillhouse.errors import DataError, SettingsError, UsageError, nearest
from stillhouse.robustness.case import Case
from stillhouse.steps.student import filled
from stillhouse.workspace import StepFiles

FILE = "distill/siblings.safetensors"
ARMS = "distill/arms.json"
READS = (FILE, ARMS)
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


def known(section: Mapping[str, Any] | None) -> tuple[Arm, ...]:
    """Return the siblings that a section `distill` will leave behind, search spaces and all."""
    seeds = (section or {}).get("seeds", Settings.seeds)
    found = arms_of(section)
    return found if seeds != 1 else tuple(arm for arm in found if arm not in _SEED)


def require_known(cases: Sequence[Case], section: Mapping[str, Any] | None, where: str) -> None:
    """Refuse a transfer from a model that there will not be.

    Args:
        cases: The attacks.
        section: `distill`, search spaces and all.
        where: The path of the list of attacks.

    Raises:
        SettingsError: There is one.
    """
    there = [TEACHER, *known(section)]
    for at, case in enumerate(cases):
        for name in case.attack.names if isinstance(case.attack, Transfer) else ():
            if name not in there:
                raise SettingsError(
                    _ONE_SEED if name == STUDENT else f"there is no model '{name}'.",
                    where=f"{where}.{at}.surrogates",
                    fix=nearest(name, there),
                )


_ONE_SEED = "'student' is the student of another seed, and distill.seeds is 1."


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
    return [replace(case, attack=_led(case.attack, files, teacher, why)) for case in cases]


def _led(attack: Attack, files: StepFiles, teacher: nn.Module | None, why: str) -> Attack:
    if not isinstance(attack, Transfer) or attack.names in ((), (TEACHER,)):
        return attack
    models = load(files, [name for name in attack.names if name != TEACHER])
    if TEACHER in attack.names:
        if teacher is None:
            raise UsageError(why, fix="Leave the teacher out of the transfer's surrogates.")
        models[TEACHER] = teacher
    return attack.given(models)


def load(files: StepFiles, names: Sequence[Arm]) -> dict[Arm, nn.Module]:
    """Return siblings by name, in evaluation mode, data space in, logits out. Errors as `led`."""
    kept = files.read_tensors(FILE)
    settings = {one["name"]: one["settings"] for one in files.read_json(ARMS)["arms"]}
    found: dict[Arm, nn.Module] = {}
    for name in names:
        begins = f"{name}/"
        own = {key[len(begins) :]: kept[key] for key in kept if key.startswith(begins)}
        if not own or name not in settings:
            raise DataError(
                f"the step `distill` kept no '{name}'.",
                where=FILE,
                fix="Run it again with this control, or leave the name out.",
            )
        found[name] = filled(files, read(settings[name]).student, own, FILE)
    return found
