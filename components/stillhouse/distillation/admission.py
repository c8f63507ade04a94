"""What `distill` lets in: two torch models and rows that fit one another."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from stillhouse.data.dataset import UNLABELLED, Dataset, known
from stillhouse.data.schema import Feature, Kind, Schema
from stillhouse.errors import DataError, UsageError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.teachers.probabilities import are_probabilities
from stillhouse.teachers.probe import other_order

KINDS: dict[int, Kind] = {1: "table", 2: "series", 3: "image"}  # by the axes of a row
# What models say of rows that do not fit: torch of shapes and types, others of what they lack.
UNFIT = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)
PRECISIONS = (torch.float32, torch.float64)
TRIED = 2  # rows that the student is asked about: it has learned nothing yet


def answers_of(teacher: nn.Module, student: nn.Module, inputs: Tensor) -> Tensor:
    """Return the teacher's logits [N, C] of all rows.

    Raises:
        DataError: The rows are no rows, a model cannot take them, or what the two answer are not
            logits of the same classes.
    """
    _require_rows(inputs)
    answers = _logits("teacher", teacher, inputs)
    bad = torch.nonzero(~torch.isfinite(answers).all(dim=1)).flatten()
    if len(bad):
        raise DataError(
            f"the teacher has no finite answer for {len(bad)} rows, the first of them "
            f"{int(bad[0])}.",
            where="teacher",
            fix="Mend or drop them.",
        )
    told = _logits("student", student, inputs[:TRIED])
    if told.shape[1] != answers.shape[1]:
        raise DataError(
            f"the teacher answers {answers.shape[1]} classes, the student {list(told.shape[1:])}.",
            where="student",
            fix="Give both the same classes.",
        )
    return answers


def _require_rows(inputs: Tensor) -> None:
    if not isinstance(inputs, Tensor):
        raise DataError(
            f"inputs are a {type(inputs).__name__}, not a tensor.",
            where="inputs",
            fix="Give all rows in one: torch.cat([rows for rows, _ in loader])."
            if isinstance(inputs, DataLoader)
            else "Give a float tensor: torch.tensor(inputs, dtype=torch.float32).",
        )
    if inputs.ndim - 1 not in KINDS or not len(inputs) or not inputs.is_floating_point():
        raise DataError(
            f"inputs of shape {list(inputs.shape)}, {inputs.dtype}, are no rows.",
            where="inputs",
            fix="Give floats [N, D], [N, T, D] or [N, C, H, W].",
        )
    if inputs.dtype not in PRECISIONS:
        raise DataError(
            f"inputs are {inputs.dtype}, in which small steps of the weights are lost.",
            where="inputs",
            fix="Learn in single precision: inputs.float(), teacher.float(), student.float().",
        )


def _logits(who: str, model: nn.Module, inputs: Tensor) -> Tensor:
    if not isinstance(model, nn.Module):
        raise DataError(
            f"the {who} is a {type(model).__name__}, not a torch module.",
            where=who,
            fix="Give an nn.Module from inputs to logits.",
        )
    try:
        found = logits_of(model, inputs)
    except DataError as error:
        error.where = who
        raise
    except UNFIT as error:
        raise DataError(
            f"the {who} cannot take rows {list(inputs.shape)}, {inputs.dtype}: "
            f"{str(error).partition(chr(10))[0][:200].rstrip('.')}.",
            where=who,
            fix="Give rows of its shape and type.",
        ) from error
    _require_logits(who, found, len(inputs))
    return found


def _require_logits(who: str, found: Tensor, rows: int) -> None:
    if found.ndim != 2 or len(found) != rows:
        raise DataError(
            f"the {who} answers {list(found.shape)} for {rows} rows, not [N, C].",
            where=who,
            fix="It must return logits.",
        )
    if found.shape[1] < 2:
        raise DataError(
            f"the {who} answers one number a row, and one class is nothing to choose from.",
            where=who,
            fix="Give a yes or no as two logits: torch.cat([torch.zeros_like(z), z], dim=1).",
        )
    if are_probabilities(found):
        raise DataError(
            f"the {who} answers probabilities, not logits: a softmax over them would make all "
            "classes about as likely.",
            where=who,
            fix="Leave its softmax out, or return its logarithm.",
        )


def rows_of(inputs: Tensor, targets: Tensor | None, classes: int) -> Dataset:
    """Return the rows with their labels, numbered from 0.

    Args:
        inputs: [N, *shape].
        targets: [N], int64, −1 where unlabelled; None if no row has a label.
        classes: C.

    Raises:
        DataError: The targets are not such.
    """
    told = torch.full((len(inputs),), UNLABELLED) if targets is None else targets
    if not isinstance(told, Tensor):
        raise DataError(
            f"targets are a {type(told).__name__}, not a tensor.",
            where="targets",
            fix="Give int64 [N]: torch.tensor(targets); names of classes as their numbers in the "
            "teacher's order.",
        )
    if told.shape != (len(inputs),) or told.dtype != torch.int64:
        raise DataError(
            f"targets of shape {list(told.shape)}, {told.dtype}, do not fit {len(inputs)} rows.",
            where="targets",
            fix=_instead(told, (len(inputs), classes)),
        )
    if int(told.max()) >= classes or int(told.min()) < UNLABELLED:
        raise DataError(
            f"targets lie between {int(told.min())} and {int(told.max())}, but there are "
            f"{classes} classes.",
            where="targets",
            fix="Count from 0; −1 is unlabelled.",
        )
    kind = KINDS[inputs.ndim - 1]
    schema = Schema(kind, tuple(inputs.shape[1:]), tuple(str(code) for code in range(classes)), ())
    features = tuple(Feature(f"x{at}") for at in range(inputs.shape[schema.feature_axis]))
    return Dataset(inputs, told, replace(schema, features=features), torch.arange(len(inputs)))


def _instead(told: Tensor, hot: tuple[int, int]) -> str:
    """What to write in the place of targets that mean classes in another form."""
    if told.shape == hot:
        return "Give the classes' numbers, int64 [N]: targets.argmax(dim=1)."
    if told.numel() == hot[0]:
        return "Give int64 [N]: targets.reshape(-1).long()."
    return "Give int64 [N], a number for each row of inputs."


def require_same_order(answers: Tensor, rows: Dataset) -> None:
    """Refuse targets that count the classes in another order than the teacher.

    Raises:
        DataError: In another order the teacher would be right far more often.
    """
    labelled = known(rows.targets)
    targets = rows.targets[labelled]
    found = other_order(answers[labelled].argmax(dim=1), targets, len(rows.classes))
    if found is None:
        return
    raise DataError(
        f"the teacher's classes seem to stand in another order: as it is it answers "
        f"{found.as_it_is} of {len(targets)} labelled rows right, reordered {found.reordered}.",
        where="targets",
        fix=f"Its outputs seem to mean the targets {list(found.meant)}: count them alike.",
    )


def require_trainable(teacher: nn.Module, student: nn.Module) -> None:
    """Refuse a student that cannot learn, or not without changing its teacher.

    Raises:
        UsageError: Both are one model or share weights, no weight is to be trained, or gradients
            are switched off.
    """
    if teacher is student:
        raise UsageError(
            "teacher and student are one model.",
            fix="Give the student weights of its own: copy.deepcopy(teacher).",
        )
    weights = {name: weight for name, weight in student.named_parameters() if weight.requires_grad}
    if not weights or not torch.is_grad_enabled():
        raise UsageError(
            "the student has nothing to train: "
            + ("gradients are switched off." if weights else "no weight of it takes a gradient."),
            where="student",
            fix="Call distill outside torch.no_grad()."
            if weights
            else "Say student.requires_grad_().",
        )
    its = {id(weight) for weight in teacher.parameters()}
    shared = [name for name, weight in weights.items() if id(weight) in its]
    if shared:
        raise UsageError(
            f"the student shares '{shared[0]}' with its teacher, which would change as it learns.",
            where="student",
            fix="Copy what they share (copy.deepcopy), or freeze it: requires_grad_(False).",
        )
