"""Models of the student's best trials, as `tune` leaves them behind and `robustness` reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from stillhouse.config import Spec
from stillhouse.workspace import StepFiles

FILE = "tune/siblings.safetensors"
ABOUT = "tune/siblings.json"
READS = (FILE, ABOUT)


@dataclass(frozen=True)
class Tried:
    """One trial's model.

    Attributes:
        number: The trial's.
        student: Its architecture.
        values: What it came to.
    """

    number: int
    student: Spec
    values: Mapping[str, float]

    @property
    def name(self) -> str:
        """Its name among siblings."""
        return f"trial-{self.number}"


def write(files: StepFiles, found: Iterable[tuple[Tried, Mapping[str, Tensor]]]) -> None:
    """Write models with their weights, by `<name>/<parameter>`, best first."""
    kept = list(found)
    files.write_tensors(
        FILE,
        {f"{one.name}/{key}": each for one, state in kept for key, each in state.items()},
    )
    files.write_json(ABOUT, {"trials": [asdict(one) for one, _ in kept]})


def read(files: StepFiles) -> list[tuple[Tried, dict[str, Tensor]]]:
    """Return what `write` wrote.

    Raises:
        SourceError: The weights are not there, or no safetensors.
        Corrupt: What is told of them is no JSON any more.
    """
    tensors = files.read_tensors(FILE)
    told: list[dict[str, Any]] = files.read_json(ABOUT)["trials"]
    return [(one, _own(tensors, f"{one.name}/")) for one in (Tried(**each) for each in told)]


def _own(tensors: Mapping[str, Tensor], begins: str) -> dict[str, Tensor]:
    return {k.removeprefix(begins): each for k, each in tensors.items() if k.startswith(begins)}
