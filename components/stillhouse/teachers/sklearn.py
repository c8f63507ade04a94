"""A teacher of scikit-learn's, trained here: gradient boosting, a forest, or a straight line.

scikit-learn writes its models as pickles alone. Stored instead are the rows that it learned from
and a few of its answers; whoever recalls it trains it again, on one thread and from the same seed,
and holds it to those answers.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.config import Count, Natural, Positive
from stillhouse.data.dataset import UNLABELLED
from stillhouse.data.schema import Schema
from stillhouse.errors import Corrupt, SettingsError
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.classes import require_count
from stillhouse.teachers.probabilities import log_probabilities
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json, dump_tensors, parse_tensors

ROWS, PROBE, FORM = "rows.safetensors", "probe.safetensors", "form.json"
PROBED = 64  # val rows whose answers are stored
# of a probability: another processor may round otherwise, another version of the library learns
# another model
TOLERANCE = 1e-4
# scikit-learn's histograms have no room for more categories; a feature of more is taken as a number
MAX_CODES = 255
TREES = {"gradient_boosting": 100, "random_forest": 300}

Kind = Literal["gradient_boosting", "random_forest", "logistic_regression"]


class Sklearn(Teacher):
    """Trains on all labelled train rows; a black box that gives logits (log-probabilities).

    Every step that asks it trains it anew.

    Gradient boosting takes missing cells and categories as they are; the others take the rows that
    a net would (standardised, one feature a category, a mark where a cell is missing). Images and
    series are flattened.

    Args:
        estimator: `gradient_boosting` (by histograms), `random_forest` or `logistic_regression`.
        trees: Rounds of boosting (one tree a class each; None: 100), or trees of the forest (None:
            300).
        depth: Of a tree; None: no limit.
        learning_rate: Of boosting; None: 0.1.
        balanced: Whether rare classes weigh as much as frequent ones.
        seed: Of the forest's rows and columns.
    """

    def __init__(
        self,
        *,
        estimator: Kind = "gradient_boosting",
        trees: Count | None = None,
        depth: Count | None = None,
        learning_rate: Positive | None = None,
        balanced: bool = False,
        seed: Natural = 0,
    ) -> None:
        self.estimator, self.trees, self.depth, self.learning_rate, self.balanced, self.seed = (
            estimator,
            trees,
            depth,
            learning_rate,
            balanced,
            seed,
        )
        given = {"trees": trees, "depth": depth, "learning_rate": learning_rate}
        unused = {
            "logistic_regression": ("trees", "depth", "learning_rate"),
            "random_forest": ("learning_rate",),
        }.get(estimator, ())
        for name in unused:
            if given[name] is not None:
                raise SettingsError(
                    f"{estimator} has no '{name}'.",
                    where=f"teacher.{name}",
                    fix="Leave it out, or choose another estimator.",
                )

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        import sklearn

        seed = self.seed + lesson.seed
        known = lesson.train.targets != UNLABELLED
        inputs, targets = lesson.train.inputs[known], lesson.train.targets[known]
        model = self._train(inputs, targets, lesson.train.schema, seed)
        probe = lesson.val.inputs[:PROBED]
        return {
            ROWS: dump_tensors({"inputs": inputs, "targets": targets}),
            PROBE: dump_tensors({"inputs": probe, "probabilities": model.probabilities(probe)}),
            FORM: dump_json(
                {
                    "seed": seed,
                    "classes": len(lesson.train.classes),
                    "scikit-learn": sklearn.__version__,
                }
            ),
        }

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        import sklearn

        form = json.loads(files[FORM])
        require_count(form["classes"], schema.classes, where=ROWS)
        rows, probe = (
            parse_tensors(files[ROWS], where=ROWS),
            parse_tensors(files[PROBE], where=PROBE),
        )
        model = self._train(rows["inputs"], rows["targets"], schema, form["seed"])
        error = (
            float((model.probabilities(probe["inputs"]) - probe["probabilities"]).abs().max())
            if len(probe["inputs"])
            else 0.0
        )
        if error > TOLERANCE:
            versions = f"scikit-learn {form['scikit-learn']}, now {sklearn.__version__}"
            said = (
                f"trained again, the teacher's answers differ by {error:.2g} from those stored "
                f"({versions})."
            )
            raise Corrupt(said, where=PROBE, fix="Run the step `teacher` again.")
        return model

    def _train(self, inputs: Tensor, targets: Tensor, schema: Schema, seed: int) -> "Estimated":
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        as_they_are = self.estimator == "gradient_boosting"
        encode = None if as_they_are else Normalize.fit(inputs, schema)
        model = self._make(schema, seed)
        with threadpool_limits(1):
            model.fit(_table(inputs, encode), targets.numpy())
        return Estimated(model, encode, len(schema.classes))

    def _make(self, schema: Schema, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
        from sklearn.linear_model import LogisticRegression

        weight = "balanced" if self.balanced else None
        if self.estimator == "logistic_regression":
            return LogisticRegression(max_iter=1000, class_weight=weight)
        trees = self.trees or TREES[self.estimator]
        if self.estimator == "random_forest":
            return RandomForestClassifier(
                n_estimators=trees,
                max_depth=self.depth,
                class_weight=weight,
                random_state=seed,
                n_jobs=1,
            )
        coded = (
            [f.kind == "category" and len(f.categories) <= MAX_CODES for f in schema.features]
            if schema.tabular
            else []
        )
        return HistGradientBoostingClassifier(
            max_iter=trees,
            max_depth=self.depth,
            learning_rate=self.learning_rate or 0.1,
            class_weight=weight,
            categorical_features=coded if any(coded) else None,
            early_stopping=False,
            random_state=seed,
        )


class Estimated(Oracle):
    """A classifier of scikit-learn's that answers."""

    def __init__(self, model: Any, encode: Normalize | None, classes: int) -> None:
        self._model, self._encode, self._classes = model, encode, classes
        self.parameters = _weights(model)

    def probabilities(self, inputs: Tensor) -> Tensor:
        """Return probabilities [B, C], float64; a class without a train row has 0."""
        from threadpoolctl import threadpool_limits

        found = np.zeros((len(inputs), self._classes))
        if len(inputs):
            with threadpool_limits(1):
                found[:, self._model.classes_] = self._model.predict_proba(
                    _table(inputs, self._encode)
                )
        return torch.from_numpy(found)

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return log_probabilities(self.probabilities(inputs))


def _table(inputs: Tensor, encode: Normalize | None) -> NDArray[np.float64]:
    """Return rows [B, D] for scikit-learn."""
    rows = inputs if encode is None else encode(inputs)
    return np.asarray(rows.flatten(1).numpy(), dtype=np.float64)


def _weights(model: Any) -> int:
    """Return a forest's nodes or a line's coefficients; boosting does not tell."""
    if hasattr(model, "estimators_"):
        return sum(int(tree.tree_.node_count) for tree in model.estimators_)
    return int(model.coef_.size + model.intercept_.size) if hasattr(model, "coef_") else 0
