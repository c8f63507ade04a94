"""A teacher of scikit-learn's, trained here: gradient boosting, a forest, or a straight line.

scikit-learn writes its models as pickles alone. Stored instead are the rows that it learned from
and a few of its answers; whoever recalls it trains it again, on one thread and from the same seed,
and holds it to those answers.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from stillhouse.config import Count, Natural, Positive
from stillhouse.data.dataset import known
from stillhouse.data.schema import Schema
from stillhouse.errors import Corrupt, SettingsError
from stillhouse.evaluation.tasks import task_of
from stillhouse.teachers.classes import require_count, require_examples
from stillhouse.teachers.estimators import Kind, Model, require_task, trained
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json, dump_tensors, parse_tensors

ROWS, PROBE, FORM = "rows.safetensors", "probe.safetensors", "form.json"
PROBED = 64  # val rows whose answers are stored
# of a probability, or of a quantity's spread: another processor may round otherwise, another
# version of the library learns another model
TOLERANCE = 1e-4
UNUSED = {
    "logistic_regression": ("trees", "depth", "learning_rate"),
    "linear_regression": ("trees", "depth", "learning_rate"),
    "random_forest": ("learning_rate",),
}


class Sklearn(Teacher):
    """Trains on all labelled train rows; a black box that gives logits (log-probabilities), of
    several labels a row the log-odds of a model each, or a quantity's mean or quantiles.

    Every step that asks it trains it anew.

    Gradient boosting takes missing cells and categories as they are; the others take the rows that
    a net would (standardised, one feature a category, a mark where a cell is missing). Images and
    series are flattened.

    Args:
        estimator: `gradient_boosting` (by histograms), `random_forest`, or a straight line:
            `logistic_regression` of classes, `linear_regression` of a quantity. Quantiles are told
            by boosting alone.
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
        self.model = Model(estimator, trees, depth, learning_rate, balanced, seed)
        for name in UNUSED.get(estimator, ()):
            if getattr(self.model, name) is not None:
                raise SettingsError(
                    f"{estimator} has no '{name}'.",
                    where=f"teacher.{name}",
                    fix="Leave it out, or choose another estimator.",
                )

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        import sklearn

        schema, model = lesson.train.schema, replace(self.model, seed=self.model.seed + lesson.seed)
        require_task(model, schema)
        require_examples(lesson.train.targets, schema)
        there = known(lesson.train.targets)
        inputs, targets = lesson.train.inputs[there], lesson.train.targets[there]
        made = trained(model, inputs, targets, schema)
        probe = lesson.val.inputs[:PROBED]
        return {
            ROWS: dump_tensors({"inputs": inputs, "targets": targets}),
            PROBE: dump_tensors({"inputs": probe, "probabilities": made.values(probe)}),
            FORM: dump_json(
                {
                    "seed": model.seed,
                    "classes": len(schema.outputs),
                    "scikit-learn": sklearn.__version__,
                }
            ),
        }

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        import sklearn

        form = json.loads(files[FORM])
        require_count(form["classes"], schema, where=ROWS)
        rows, probe = (
            parse_tensors(files[ROWS], where=ROWS),
            parse_tensors(files[PROBE], where=PROBE),
        )
        model = replace(self.model, seed=form["seed"])
        made = trained(model, rows["inputs"], rows["targets"], schema)
        if not len(probe["inputs"]):
            return made
        stored, now = probe["probabilities"], made.values(probe["inputs"])
        moved = (now - stored).abs()
        if schema.quantity is not None:
            moved = task_of(schema).moved(now, stored)
        error = float(moved.max())
        if error > TOLERANCE:
            versions = f"scikit-learn {form['scikit-learn']}, now {sklearn.__version__}"
            said = (
                f"trained again, the teacher's answers differ by {error:.2g} from those stored "
                f"({versions})."
            )
            raise Corrupt(said, where=PROBE, fix="Run the step `teacher` again.")
        return made
