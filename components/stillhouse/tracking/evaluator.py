"""Stillhouse as an evaluator of MLflow's: `mlflow.models.evaluate(model, data, targets=…,
model_type="classifier", evaluators="stillhouse")` for any classifier, whoever trained it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from mlflow import MlflowClient
from mlflow.models.evaluation import EvaluationArtifact, EvaluationResult, ModelEvaluator
from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact, TextEvaluationArtifact
from torch import Tensor

from stillhouse import config
from stillhouse.config import Count, Seed
from stillhouse.errors import DataError, UsageError
from stillhouse.tracking import drawn
from stillhouse.tracking.answers import Answers, Asked, ask, classes_of, codes, read
from stillhouse.tracking.measured import (
    Attempt,
    Columns,
    Measured,
    measure,
    numeric,
    withstood,
    worst_slices,
)

PREFIX = "stillhouse"
WHOLE = "biu"  # numpy's letters for types without fractions
PLOTS: Mapping[str, Callable[[Any], str]] = {
    "reliability": drawn.reliability,
    "risk_coverage": drawn.risk,
    "classes": drawn.classes,
}


@dataclass(frozen=True)
class Settings:
    """What `evaluator_config` may hold.

    Attributes:
        classes: In the order of the model's columns; null: as the model names them, else the
            labels' values, sorted.
        attack: Whether to attack the model through its answers.
        norm: Of the attack.
        epsilon: How far it may go, in shares of each column's range.
        attack_rows: At most so many rows are attacked.
        queries: Of each row.
        seed: Of halves, drawn rows and attacks.
    """

    classes: list[Any] | None = None
    attack: bool = True
    norm: Literal["linf", "l2"] = "linf"
    epsilon: Annotated[float, Gt(0)] = 0.1
    attack_rows: Count = 100
    queries: Count = 300
    seed: Seed = 0


class Evaluator(ModelEvaluator):  # type: ignore[misc]
    """Accuracy, calibration, risk behind confidence, the worst class and the worst slices, each
    with its interval, and what is left under a black-box attack.
    """

    @classmethod
    def can_evaluate(
        cls, *, model_type: str, evaluator_config: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        """Whether it is a classifier."""
        del evaluator_config, kwargs  # MLflow's signature
        return model_type == "classifier"

    def evaluate(
        self,
        *,
        model_type: str,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None,
        model: Any = None,
        predictions: Any = None,
        model_id: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Measure, log to the run, and return what was logged.

        Raises:
            UsageError: There are no targets, or the classes do not fit.
            DataError: There is no row, a label is none of the classes, or an answer is no number.
            SettingsError: `evaluator_config` holds what is no setting.
        """
        del model_type, predictions, kwargs
        settings = config.build(Settings, dict(evaluator_config or {}), where="evaluator_config")
        labels = _labels(dataset)
        classes = _classes(settings, model, labels)
        targets = codes(labels, classes)
        answers = (
            read(dataset.predictions_data, classes)
            if model is None
            else ask(model, dataset.features_data, classes)
        )
        found = measure(answers, targets, classes)
        columns = _columns(dataset)
        found.tables["slices"] = worst_slices(columns, answers.logits, targets, seed=settings.seed)
        shares = [one["accuracy"] for one in found.tables["slices"]]
        if shares:
            found.numbers["worst_slice"] = min(shares)
        _attack(found, settings, (model, dataset, columns), (answers, targets, classes))
        return _logged(found, run_id, model_id)


def _labels(dataset: Any) -> Any:
    labels = dataset.labels_data
    if labels is None:
        raise UsageError(
            "there are no targets to compare the answers with.",
            where="targets",
            fix="Pass mlflow.models.evaluate(…, targets='the column of the labels').",
        )
    found = np.asarray(labels)
    if not len(found):
        raise DataError("there are no rows.", where="data", fix="Evaluate at least one row.")
    # what is missing, NaN or None, is not equal to itself or is nothing
    gone = [at for at, value in enumerate(found.tolist()) if value is None or value != value]
    if gone:
        raise DataError(
            f"the label of row {gone[0]} is missing, as are {len(gone)} in all.",
            where="targets",
            fix="Leave these rows out.",
        )
    whole = found.dtype.kind == "f" and bool((found == np.floor(found)).all())
    return found.astype(np.int64) if whole else found


def _classes(settings: Settings, model: Any, labels: Any) -> list[Any]:
    told = settings.classes or (classes_of(model) if model is not None else [])
    if len(set(told)) < len(told):
        raise UsageError(
            "two classes have the same name.",
            where="evaluator_config.classes",
            fix="Name each once, in the order of the model's columns.",
        )
    if not told and labels.dtype.kind == "f":
        raise UsageError(
            f"the targets are quantities, such as {float(labels[labels != labels.round()][0]):g}.",
            where="targets",
            fix="Give classes; what tells a quantity is not judged here.",
        )
    return list(told) or sorted(set(labels.tolist()))


def _columns(dataset: Any) -> Columns:
    """Return the features by name; an array's are numbered."""
    data = dataset.features_data
    if hasattr(data, "columns"):
        if not data.columns.is_unique:
            twice = data.columns[data.columns.duplicated()][0]
            raise DataError(
                f"two columns are called '{twice}'.", where="data", fix="Name each column once."
            )
        return {str(name): _values(data[name]) for name in data.columns}
    flat = np.asarray(data).reshape(len(data), -1)
    return {f"feature {at}": flat[:, at].astype(float) for at in range(flat.shape[1])}


def _values(column: Any) -> Any:
    values = np.asarray(column)
    if values.dtype.kind in "biuf":
        return values.astype(float)
    missing = np.asarray(column.isna())
    return np.array(
        [None if gone else str(v) for v, gone in zip(values, missing, strict=True)], dtype=object
    )


def _whole(dataset: Any) -> list[bool]:
    """Return which columns are of a type that holds whole numbers only."""
    data = dataset.features_data
    if hasattr(data, "columns"):
        return [kind.kind in WHOLE for kind in data.dtypes]
    array = np.asarray(data).reshape(len(data), -1)
    return [array.dtype.kind in WHOLE] * array.shape[1]


def _attack(
    found: Measured,
    settings: Settings,
    asked: tuple[Any, Any, Columns],
    judged: tuple[Answers, Tensor, Sequence[Any]],
) -> None:
    """Add the accuracy under attack, or say why there is none."""
    model, dataset, columns = asked
    answers, targets, classes = judged
    name = f"robust_{settings.norm}"
    ranges = numeric(columns, _whole(dataset))
    why = _not_attacked(settings, model, classes)
    if why or isinstance(ranges, str):
        found.left_out[name] = why or str(ranges)
        return
    box = Asked(model, ranges.low, table=_table(dataset), classes=classes)
    attempt = Attempt(
        settings.norm, settings.epsilon, settings.attack_rows, settings.queries, settings.seed
    )
    share = withstood(box, ranges, targets, answers.graded, attempt)
    found.numbers |= dict(zip((f"{name}_low", name, f"{name}_high"), share, strict=True))


def _not_attacked(settings: Settings, model: Any, classes: Sequence[Any]) -> str:
    if model is None:
        return "only predictions were given, and no model to ask."
    if len(classes) < 2:
        return "there is only one class; evaluator_config.classes names more."
    return "" if settings.attack else "evaluator_config.attack is off."


def _table(dataset: Any) -> Callable[[Any], Any]:
    """Return how an array [B, D] becomes what the model takes, each column of the type that it has
    in the data: what is between two whole numbers is asked as the nearest.
    """
    data = dataset.features_data
    if not hasattr(data, "columns"):
        array = np.asarray(data)
        near = np.rint if array.dtype.kind in WHOLE else np.asarray
        return lambda rows: near(rows).astype(array.dtype).reshape(len(rows), *array.shape[1:])
    import pandas as pd

    kinds = dict(data.dtypes)
    whole = [name for name, kind in kinds.items() if kind.kind in WHOLE]

    def table(rows: Any) -> Any:
        made = pd.DataFrame(rows, columns=data.columns)
        made[whole] = made[whole].round()
        return made.astype(kinds)

    return table


def _logged(found: Measured, run_id: str, model_id: str | None) -> EvaluationResult:
    client = MlflowClient()
    numbers = {f"{PREFIX}/{name}": float(value) for name, value in sorted(found.numbers.items())}
    for name, value in numbers.items():
        client.log_metric(run_id, name, value, model_id=model_id)
    where = client.get_run(run_id).info.artifact_uri
    artifacts: dict[str, EvaluationArtifact] = {}
    for name, table in {**found.tables, "left_out": [found.left_out]}.items():
        path = f"{PREFIX}/{name}.json"
        client.log_text(run_id, json.dumps(table, indent=1), path)
        artifacts[f"{PREFIX}/{name}"] = JsonEvaluationArtifact(f"{where}/{path}", table)
    for name, draw in PLOTS.items():
        if found.tables.get(name):
            path, plot = f"{PREFIX}/{name}.svg", draw(found.tables[name])
            client.log_text(run_id, plot, path)
            artifacts[f"{PREFIX}/{name}_plot"] = TextEvaluationArtifact(f"{where}/{path}", plot)
    return EvaluationResult(metrics=numbers, artifacts=artifacts, run_id=run_id)
