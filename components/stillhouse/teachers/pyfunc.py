"""A teacher from MLflow's registry, by `models:/…`, of any flavour that needs no pickle."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from stillhouse import environment
from stillhouse.config import Positive
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers import persisted
from stillhouse.teachers.exported import Exported
from stillhouse.teachers.onnx import Onnx
from stillhouse.teachers.registered import Name, Registered, inside
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json

ORIGIN, SKOPS, PROGRAM = "mlflow.json", "model.skops", "model.pt2"
FLAVORS = ("onnx", "pytorch", "sklearn")  # the surest first
FIX = (
    "Log it as ONNX (mlflow.onnx), a torch model with export_model=True, a scikit-learn model "
    "with serialization_format='skops'; or let it answer where it runs and bring `predictions`."
)


class Pyfunc(Teacher):
    """Takes a registered model by the first of its flavours that needs no pickle: `onnx`,
    `pytorch` where it was exported (`.pt2`), `sklearn` stored with skops. MLflow's own loaders are
    not used.

    An alias is looked up when the step `teacher` runs: moving it later makes nothing stale. Name a
    version where that matters.

    Args:
        uri: `models:/credit/3` or `models:/credit@champion`, in the MLflow of this project
            (MLFLOW_TRACKING_URI).
        output: What it answers; `auto` looks at its answers. `class`: a scikit-learn model's
            decisions, for the teacher `votes`.
        classes: Class names by column of its output; empty: the model's own, else the data's order.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature.
        std: What it was trained to have its rows divided by then, likewise.
        trusted: Of a skops model: types that are built though nobody reviewed them, such as
            `sklearn.tree._tree.Tree`, a forged one of which can crash the process: only for models
            of yours.
    """

    def __init__(
        self,
        *,
        uri: str,
        output: Literal["logits", "probabilities", "class", "auto"] = "auto",
        classes: tuple[str, ...] = (),
        mean: tuple[float, ...] = (),
        std: tuple[Positive, ...] = (),
        trusted: tuple[str, ...] = (),
    ) -> None:
        self._name, self.classes, self.trusted = Name.parse(uri), classes, trusted
        self._decides = output == "class"
        told = "auto" if output == "class" else output
        self._onnx = Onnx(path=uri, output=told, classes=classes, mean=mean, std=std)
        self._exported = Exported(path=uri, output=told, classes=classes, mean=mean, std=std)

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        found = Registered.find(environment.place(lesson.root), self._name)
        flavors = found.flavors()
        refused = []
        for flavor in (name for name in FLAVORS if name in flavors):
            try:
                made = self._take(flavor, flavors[flavor], found, lesson)
            except _Pickled as why:
                refused.append(str(why))
                continue
            about = {"name": self._name.model, "version": found.version, "uri": self._name.uri}
            return {**made, ORIGIN: dump_json({**about, "flavor": flavor})}
        said = "; ".join(refused) or "each is a pickle or code of its own"
        raise SourceError(
            f"its flavours are {', '.join(sorted(flavors))}: {said}, and nothing is ever "
            "unpickled.",
            where=self._name.uri,
            fix=FIX,
        )

    def _take(
        self, flavor: str, held: Mapping[str, Any], found: Registered, lesson: Lesson
    ) -> Mapping[str, bytes]:
        uri = self._name.uri
        if flavor == "onnx":
            return self._onnx.take(found.file(inside(held.get("data"), uri)), lesson, where=uri)
        if flavor == "pytorch":
            there = found.files(inside(held.get("model_data"), uri))
            if PROGRAM not in there:
                raise _Pickled(f"the torch model was stored as {', '.join(sorted(there))}")
            return self._exported.take(there[PROGRAM], lesson, where=uri)
        stored = held.get("serialization_format") or "pickle"
        if stored != "skops":
            raise _Pickled(f"the scikit-learn model was stored as {stored}")
        data = found.file(inside(held.get("pickled_model"), uri))
        self._estimator(data, lesson.train.schema)
        return {SKOPS: data}

    def _estimator(self, data: bytes, schema: Schema) -> Oracle:
        model = persisted.load(data, self.trusted, self._name.uri)
        make = persisted.Decider if self._decides else persisted.Estimator
        return make(model, schema, classes=self.classes, where=self._name.uri)

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        flavor = json.loads(files[ORIGIN])["flavor"]
        if flavor == "sklearn":
            return self._estimator(files[SKOPS], schema)
        taken: Teacher = self._onnx if flavor == "onnx" else self._exported
        return taken.recall(files, schema)


class _Pickled(Exception):
    """A flavour that cannot be taken, and why."""
