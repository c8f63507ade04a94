"""Does the exported model say what the trained one said?"""

from dataclasses import dataclass

from torch import Tensor

from stillhouse.edge.exporter import ExportFailed


@dataclass(frozen=True)
class Parity:
    """How two models' answers to the same rows differ.

    Attributes:
        max_error: The largest absolute difference of two logits.
        agreement: The share of rows on which they decide alike.
    """

    max_error: float
    agreement: float


def parity(expected: Tensor, found: Tensor) -> Parity:
    """Compare logits [N, C] with logits [N, C], N at least 1.

    Raises:
        ExportFailed: The shapes differ, or an answer is not a number.
    """
    if expected.shape != found.shape:
        raise ExportFailed(
            f"the exported model answers {list(found.shape)}, the student {list(expected.shape)}.",
            where="export",
        )
    if not (expected.isfinite().all() and found.isfinite().all()):
        raise ExportFailed(
            "a model answers values that are not numbers.",
            where="export",
            fix="Look at the rows' inputs and at the student's weights.",
        )
    alike = (expected.argmax(dim=-1) == found.argmax(dim=-1)).double().mean()
    return Parity(float((expected.double() - found.double()).abs().max()), float(alike))


def require(found: Parity, expected: Tensor, tolerance: float) -> None:
    """Refuse an export that answers otherwise.

    Args:
        found: What `parity` said.
        expected: The trained model's logits [N, C].
        tolerance: As a share of the largest logit, or of 1 if that is larger.

    Raises:
        ExportFailed: The largest error is above it.
    """
    allowed = tolerance * max(1.0, float(expected.abs().max()))
    if found.max_error > allowed:
        raise ExportFailed(
            f"the exported model differs from the student by {found.max_error:.3g} in a "
            f"logit; {allowed:.3g} is allowed.",
            where="export",
            fix="Choose another opset, or raise export.tolerance where the difference is harmless.",
        )
