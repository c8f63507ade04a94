"""What a torch teacher thinks on the way to its answer: features, stored beside the answers, so
that a method that looks at them need not ask the teacher in every batch of every trial.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError, UsageError
from stillhouse.models.stages import evaluating, find
from stillhouse.models.taps import tapped
from stillhouse.teachers.ask import naming
from stillhouse.teachers.teacher import Oracle

WHERE = "knowledge.features"
PREFIX = "feature/"  # of the tensors' names in a shard
TRIED = 2  # rows by which stages are found


def looked_at(
    oracle: Oracle, part: Dataset, names: Sequence[str], batch: int = 1024
) -> dict[str, Tensor]:
    """Return a teacher's features of rows, fp16 [B, …], by their names in a shard.

    Args:
        oracle: The teacher.
        part: B rows.
        names: Module paths or stages (`penultimate`), as a method names the teacher's.
        batch: Rows at once.

    Raises:
        UsageError: The teacher is no torch model, or has no such tap.
        SourceError: A feature is not a finite number or too large for fp16; rows are named.
    """
    if not names:
        return {}
    if oracle.module is None or "features" not in oracle.gives:
        raise UsageError(
            "the teacher gives no features: it is no torch model.",
            where=WHERE,
            fix="Leave them out, or bring the model itself (checkpoint, module, huggingface).",
        )
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    with evaluating(oracle.module), torch.no_grad():
        paths = _paths(oracle.module, part.inputs[:TRIED], names)
        for start in range(0, len(part), batch):
            inputs = part.inputs[start : start + batch]
            features = tapped(oracle.module, inputs, set(paths.values())).features
            for name, path in paths.items():
                found[name].append(features[path].half())
    whole = {PREFIX + name: torch.cat(parts) for name, parts in found.items()}
    for name, tensor in whole.items():
        bad = ~torch.isfinite(tensor).flatten(1).all(dim=1)
        if bad.any():
            raise SourceError(
                f"the feature '{name.removeprefix(PREFIX)}' is not a finite number, or above "
                f"65,504, for {naming(part.rows[bad])}.",
                where=WHERE,
                fix="Leave it out: it is then asked for in every batch.",
            )
    return whole


def _paths(model: nn.Module, inputs: Tensor, names: Sequence[str]) -> dict[str, str]:
    try:
        return find(model, inputs, names)
    except UsageError as error:
        error.where = WHERE
        raise
