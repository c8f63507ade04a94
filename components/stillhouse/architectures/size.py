"""How large a net will be, before a second is spent on training it."""

from collections.abc import Iterable
from dataclasses import dataclass

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.config import Spec
from stillhouse.data.schema import Schema
from stillhouse.models.macs import macs
from stillhouse.models.normalize import Normalize


@dataclass(frozen=True, order=True)
class Size:
    """What a net costs a device.

    Attributes:
        parameters: Weights that are learned.
        macs: Multiply-accumulates a row.
    """

    parameters: int
    macs: int


def size_of(spec: Spec, schema: Schema, where: str) -> Size:
    """Return the size of the net that a spec names, for rows of a schema. Errors as
    `build_classifier`.
    """
    model = build_classifier(spec, schema, Normalize.empty(schema), 0, where)
    return Size(parameters(model), macs(model, schema.shape))


def sentence(sizes: Iterable[Size], teacher: int) -> str:
    """Return what a user is told of a student, and of what it may become in a search.

    Args:
        sizes: One, or one a corner of the search.
        teacher: Its teacher's parameters; 0 where nobody can know.
    """
    found = sorted(set(sizes))
    weights = _range([size.parameters for size in found])
    work = _range([size.macs for size in found])
    large = (
        " It is no smaller than its teacher, which could be shipped as it is."
        if teacher and found[-1].parameters >= teacher
        else ""
    )
    beside = f"; its teacher has {teacher:,}" if teacher else ""
    return f"The student has {weights} parameters and {work} MACs a row{beside}.{large}"


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
