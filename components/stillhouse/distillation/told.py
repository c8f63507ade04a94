"""What a loss takes of a teacher: no gradient, and one answer for each of the student's."""

from torch import Tensor

from stillhouse.errors import DataError


def told(teacher: Tensor, student: Tensor) -> Tensor:
    """Return what the teacher says, without a gradient.

    Args:
        teacher: Logits, values or features.
        student: The student's own, of the same shape.

    Raises:
        DataError: The shapes differ; torch would stretch one over the other, and the loss be of
            something else.
    """
    if teacher.shape != student.shape:
        raise DataError(
            f"the student gives {list(student.shape)}, the teacher {list(teacher.shape)}.",
            where="loss",
            fix="Give both the same rows and the same outputs.",
        )
    return teacher.detach()


def told_rows(teacher: Tensor, student: Tensor) -> Tensor:
    """Return the same, flattened [B, D], for losses of how rows lie to one another: the teacher may
    tell of each in more numbers than the student.

    Raises:
        DataError: They are not as many rows.
    """
    if len(teacher) != len(student):
        raise DataError(
            f"the student gives {len(student)} rows, the teacher {len(teacher)}.",
            where="loss",
            fix="Give both the same rows.",
        )
    return teacher.detach().flatten(1)
