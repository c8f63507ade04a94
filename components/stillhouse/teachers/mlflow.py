"""A teacher from MLflow's registry, by `models:/…`: its ONNX file."""

from collections.abc import Mapping

from stillhouse import environment
from stillhouse.config import Positive
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.onnx import Onnx
from stillhouse.teachers.probabilities import Asked
from stillhouse.teachers.registered import Name, Registered, flavors, inside
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json

ORIGIN = "mlflow.json"
FIX = "Log it with mlflow.onnx.log_model, or export it and use the teacher `onnx`."


class Mlflow(Teacher):
    """Takes the ONNX file of a registered version; MLflow's own loaders are not used, so that
    nothing is unpickled and no code of the model runs. Other flavours: the teacher `pyfunc`.

    An alias is looked up when the step `teacher` runs: moving it later makes nothing stale. Name a
    version where that matters.

    Args:
        uri: `models:/credit/3` or `models:/credit@champion`, in the MLflow of this project
            (MLFLOW_TRACKING_URI).
        output: What it answers; `auto` looks at its answers to some val rows.
        classes: Class names by column of its output; empty: the data's order.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature.
        std: What it was trained to have its rows divided by then, likewise.
    """

    def __init__(
        self,
        *,
        uri: str,
        output: Asked = "auto",
        classes: tuple[str, ...] = (),
        mean: tuple[float, ...] = (),
        std: tuple[Positive, ...] = (),
    ) -> None:
        self._name = Name.parse(uri)
        self._onnx = Onnx(path=uri, output=output, classes=classes, mean=mean, std=std)

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        found = Registered.find(environment.place(lesson.root), self._name)
        uri = self._name.uri
        data = found.file(_onnx_path(found.file("MLmodel"), uri))
        origin = {"name": self._name.model, "version": found.version, "uri": uri}
        return {**self._onnx.take(data, lesson, where=uri), ORIGIN: dump_json(origin)}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        return self._onnx.recall(files, schema)


def _onnx_path(described: bytes, uri: str) -> str:
    """Return where the ONNX file lies beside an MLmodel file.

    Raises:
        SourceError: The model has no such flavour, or its path leads elsewhere.
    """
    found = flavors(described, uri)
    if "onnx" not in found:
        raise SourceError(
            f"its flavours are {', '.join(sorted(found))}; of those only pickles can be loaded, "
            "and nothing is ever unpickled.",
            where=uri,
            fix=FIX,
        )
    return inside(found["onnx"].get("data"), uri)
