"""scikit-learn's models behind one face: a classifier, one for each of several labels, or a model
for each number that is told of a quantity. The only caller is the teacher `sklearn`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.probabilities import form_asked, outputs_of
from stillhouse.teachers.teacher import Oracle

# scikit-learn's histograms have no room for more categories; a feature of more is taken as a number
MAX_CODES = 255
TREES = {"gradient_boosting": 100, "random_forest": 300}

Kind = Literal["gradient_boosting", "random_forest", "logistic_regression", "linear_regression"]


@dataclass(frozen=True)
class Model:
    """Which model, and how it is trained.

    Attributes:
        estimator: Its kind.
        trees: As the teacher has it; None: the kind's own number.
        depth: Of a tree; None: no limit.
        learning_rate: Of boosting; None: 0.1.
        balanced: Whether rare classes weigh as much as frequent ones.
        seed: Of everything random.
    """

    estimator: Kind
    trees: int | None
    depth: int | None
    learning_rate: float | None
    balanced: bool
    seed: int

    @property
    def as_they_are(self) -> bool:
        """Whether it takes missing cells and categories as they are."""
        return self.estimator == "gradient_boosting"


def require_task(model: Model, schema: Schema) -> None:
    """Refuse an estimator of classes for a quantity, and the other way round.

    Raises:
        SettingsError: It is one; the message says which to take.
    """
    quantity = schema.quantity
    line = "logistic_regression" if quantity is None else "linear_regression"
    if model.estimator in ("logistic_regression", "linear_regression") and model.estimator != line:
        what = "classes" if quantity is None else f"'{quantity.name}', a quantity"
        raise SettingsError(
            f"{model.estimator} cannot tell {what}.",
            where="teacher.estimator",
            fix=f"Write {line}, or gradient_boosting.",
        )
    if quantity is None:
        return
    if model.balanced:
        raise SettingsError(
            f"'{quantity.name}' is a quantity: there are no classes to balance.",
            where="teacher.balanced",
            fix="Leave it out.",
        )
    if quantity.quantiles and model.estimator != "gradient_boosting":
        raise SettingsError(
            f"{model.estimator} tells a mean, and quantiles are asked for.",
            where="teacher.estimator",
            fix="Write gradient_boosting, which learns each quantile, or take out "
            "prepare.quantiles.",
        )


def trained(model: Model, inputs: Tensor, targets: Tensor, schema: Schema) -> "Estimated":
    """Return a model that learned from rows with targets, on one thread.

    Args:
        model: Which, and how.
        inputs: [N, *shape], data space.
        targets: [N], all known; of several labels a row [N, L], each label learns from the rows of
            which it is known.
        schema: What a row is, and what is predicted.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    encode = None if model.as_they_are else Normalize.fit(inputs, schema)
    table, wanted = _table(inputs, encode), targets.numpy()
    if schema.labels:
        with threadpool_limits(1):
            made = [_of_label(model, table, told, schema) for told in wanted.T]
        return Estimated(made, encode, schema)
    made = [_classifier(model, schema)] if schema.quantity is None else _regressors(model, schema)
    with threadpool_limits(1):
        for each in made:
            each.fit(table, wanted)
    return Estimated(made, encode, schema)


class Estimated(Oracle):
    """Trained models that answer as one."""

    def __init__(self, models: Sequence[Any], encode: Normalize | None, schema: Schema) -> None:
        self._models, self._encode, self._schema = models, encode, schema
        self.parameters = sum(_weights(model) for model in models)

    def values(self, inputs: Tensor) -> Tensor:
        """Return probabilities [B, C], float64, where a class without a train row has 0; of several
        labels each one's own; or a quantity's values.
        """
        from threadpoolctl import threadpool_limits

        found = np.zeros((len(inputs), len(self._schema.outputs)))
        if len(inputs):
            table = _table(inputs, self._encode)
            with threadpool_limits(1):
                if self._schema.labels:
                    found[:] = np.stack([_yes(each, table) for each in self._models], axis=1)
                elif self._schema.quantity is None:
                    found[:, self._models[0].classes_] = self._models[0].predict_proba(table)
                else:
                    found[:] = np.stack([each.predict(table) for each in self._models], axis=1)
        return torch.from_numpy(found)

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return outputs_of(self.values(inputs), form_asked(self._schema)).float()


def _of_label(
    model: Model, table: NDArray[np.float64], told: NDArray[np.float32], schema: Schema
) -> Any:
    """Return a model of one label that learned from the rows of which it is known; where all of
    those say the same, it says the same.
    """
    from sklearn.dummy import DummyClassifier

    there = ~np.isnan(told)
    rows, wanted = table[there], told[there].astype(np.int64)
    varied = len(np.unique(wanted)) > 1
    made = _classifier(model, schema) if varied else DummyClassifier(strategy="prior")
    return made.fit(rows, wanted)


def _yes(model: Any, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of a yes, [B]."""
    told = model.predict_proba(table)
    known = model.classes_.tolist()
    return told[:, known.index(1)] if 1 in known else np.zeros(len(table))


def _classifier(model: Model, schema: Schema) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    weight = "balanced" if model.balanced else None
    if model.estimator == "logistic_regression":
        return LogisticRegression(max_iter=1000, class_weight=weight)
    if model.estimator == "random_forest":
        return RandomForestClassifier(class_weight=weight, **_of_forest(model))
    return HistGradientBoostingClassifier(class_weight=weight, **_of_boosting(model, schema))


def _regressors(model: Model, schema: Schema) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Ridge

    quantiles = schema.quantity.quantiles if schema.quantity else ()
    if model.estimator == "linear_regression":
        return [Ridge(alpha=1.0)]
    if model.estimator == "random_forest":
        return [RandomForestRegressor(**_of_forest(model))]
    settings = _of_boosting(model, schema)
    return [
        HistGradientBoostingRegressor(loss="quantile", quantile=level, **settings)
        for level in quantiles
    ] or [HistGradientBoostingRegressor(**settings)]


def _of_forest(model: Model) -> dict[str, Any]:
    return {
        "n_estimators": model.trees or TREES["random_forest"],
        "max_depth": model.depth,
        "random_state": model.seed,
        "n_jobs": 1,
    }


def _of_boosting(model: Model, schema: Schema) -> dict[str, Any]:
    coded = (
        [f.kind == "category" and len(f.categories) <= MAX_CODES for f in schema.features]
        if schema.tabular
        else []
    )
    return {
        "max_iter": model.trees or TREES["gradient_boosting"],
        "max_depth": model.depth,
        "learning_rate": model.learning_rate or 0.1,
        "categorical_features": coded if any(coded) else None,
        "early_stopping": False,
        "random_state": model.seed,
    }


def _table(inputs: Tensor, encode: Normalize | None) -> NDArray[np.float64]:
    """Return rows [B, D] for scikit-learn."""
    rows = inputs if encode is None else encode(inputs)
    return np.asarray(rows.flatten(1).numpy(), dtype=np.float64)


def _weights(model: Any) -> int:
    """Return a forest's nodes or a line's coefficients; boosting does not tell."""
    if hasattr(model, "estimators_"):
        return sum(int(tree.tree_.node_count) for tree in model.estimators_)
    if not hasattr(model, "coef_"):
        return 0
    return int(np.size(model.coef_) + np.size(model.intercept_))
