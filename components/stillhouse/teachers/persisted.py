"""A scikit-learn model that was stored with skops: types from a list, rebuilt without a pickle."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.classes import order
from stillhouse.teachers.probabilities import log_odds, log_probabilities
from stillhouse.teachers.teacher import Oracle


def load(data: bytes, trusted: Sequence[str], where: str) -> Any:
    """Return the model in skops bytes.

    Types of scikit-learn and NumPy that skops knows as harmless are built; every other one must be
    trusted by the user. What the model says of itself is never asked.

    Args:
        data: A `.skops` file.
        trusted: Full names of further types.
        where: The model, for messages.

    Raises:
        SourceError: It is no such file, or holds a type that nobody trusts; they are named.
    """
    import skops.io

    if data[:2] != b"PK":
        raise SourceError(
            "its file is no skops archive but a pickle or something else; nothing is ever "
            "unpickled.",
            where=where,
            fix="Log it again with serialization_format='skops', or as ONNX.",
        )
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        if not unknown:
            return skops.io.loads(data, trusted=list(trusted))
    except Exception as error:  # a hostile archive may break skops in any way
        raise SourceError(
            f"its skops archive cannot be read: {type(error).__name__}: {error}",
            where=where,
            fix="Log the model again.",
        ) from None
    raise SourceError(
        f"it holds types that are not known to be harmless: {', '.join(unknown)}.",
        where=where,
        fix=f"If the model is yours, say so: trusted: {unknown}; or log it as ONNX.",
    )


class Estimator(Oracle):
    """A classifier with scikit-learn's interface that answers; a black box.

    Args:
        model: With `predict_proba` and `classes_`.
        schema: The data's. A table goes to it as a frame with the columns' names, categories by
            name and missing cells as NaN; other rows are flattened.
        classes: Class names by column; empty: the model's own `classes_`, where they are names.
        where: The model, for messages.

    Raises:
        SourceError: It has no such method, or tells of other classes.
    """

    asked: ClassVar[str] = "predict_proba"

    def __init__(
        self, model: Any, schema: Schema, *, classes: tuple[str, ...] = (), where: str
    ) -> None:
        if not hasattr(model, self.asked) or not hasattr(model, "classes_"):
            raise SourceError(
                f"a {type(model).__name__} has no {self.asked}.",
                where=where,
                fix="Register a classifier with predict_proba; one that only decides can vote: "
                "{name: votes, of: {name: pyfunc, output: class, uri: …}}.",
            )
        self._model, self._schema, self._where = model, schema, where
        self._columns = order(classes or own_names(model.classes_, schema), schema, where=where)
        if schema.labels and self.asked != Estimator.asked:
            raise SourceError(
                "decisions alone do not say how sure of each label it is.",
                where=where,
                fix="Leave output: class out.",
            )

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        if not len(inputs):
            return torch.empty(0, len(self._columns))
        told = torch.from_numpy(self._told(inputs))[:, self._columns]
        return log_odds(told) if self._schema.labels else log_probabilities(told)

    def _told(self, inputs: Tensor) -> Any:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        try:
            with threadpool_limits(1):
                return self._probabilities(getattr(self._model, self.asked)(self._rows(inputs)))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"it cannot answer these rows: {str(error).splitlines()[0][:200]}",
                where=self._where,
                fix="Bring the columns that it was trained on, by their names and in its units.",
            ) from None

    def _probabilities(self, said: Any) -> Any:
        if self._schema.labels and isinstance(said, list):
            return np.stack(
                [_yes(each, known) for each, known in zip(said, self._model.classes_, strict=True)],
                axis=1,
            )
        return np.asarray(said, dtype=np.float64)

    def _rows(self, inputs: Tensor) -> Any:
        wanted = getattr(self._model, "feature_names_in_", None)
        if not self._schema.tabular or wanted is None:
            return inputs.flatten(1).double().numpy()
        return frame(inputs, self._schema, [str(name) for name in wanted], self._where)


class Decider(Estimator):
    """A classifier that says the class and nothing else; its decisions are certain."""

    asked = "predict"

    def _probabilities(self, said: Any) -> Any:
        return (np.asarray(said)[:, None] == np.asarray(self._model.classes_)).astype(np.float64)


def _yes(told: Any, known: Any) -> Any:
    """Return the chance of a yes [B] of what a model says of one label [B, its answers]."""
    at = [str(int(each)) for each in known]
    return told[:, at.index("1")] if "1" in at else np.zeros(len(told))


def own_names(classes: Any, schema: Schema) -> tuple[str, ...]:
    """Return a model's class names by column, or nothing where it only counts 0, 1, … and the data
    call them otherwise: then the order is the data's.
    """
    if schema.labels:  # a model of several labels knows them by column
        return ()
    names = tuple(_name(each) for each in classes)
    counted = names == tuple(str(at) for at in range(len(names)))
    return () if counted and set(names) != set(schema.classes) else names


def _name(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def frame(inputs: Tensor, schema: Schema, wanted: Sequence[str], where: str) -> Any:
    """Return rows [B, D] as the pandas frame that a model asks for by its columns' names.

    Raises:
        SourceError: The data lack a column.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in wanted:
        at = next((at for at, each in enumerate(schema.features) if each.name == name), None)
        if at is None:
            raise SourceError(
                f"it was trained on a column '{name}', which the data do not have.",
                where=where,
                fix="Bring that column, or drop nothing that it needs.",
            )
        feature, values = schema.features[at], inputs[:, at].double().numpy()
        if feature.kind != "category":
            columns[name] = values
            continue
        words = np.array([*feature.categories, None], dtype=object)
        codes = np.where(np.isnan(values), len(feature.categories), values).astype(np.int64)
        columns[name] = words[codes]
    return pd.DataFrame(columns)
