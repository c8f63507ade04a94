"""What can be said of every row in single numbers: a table's columns themselves; of an image or a
recording what its channels are like.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.dataset import Dataset

MAX_FEATURES = 256
ROUNDING = 1e-6  # of the deviation: a mean that is less is that of rows centred in float32
PER_CHANNEL = ("mean", "std", "step")
AT_ONCE = 4096  # rows; the differences of all images at once would take their memory again


def measures(dataset: Dataset) -> Mapping[str, NDArray[Any]]:
    """Return measure → its value for every row [N]: numbers with NaN, or names with None, where
    missing.

    A table's are its columns (the first 256), categories by name, each made when it is asked for.
    An image's or a recording's are, for each channel, the mean, the standard deviation, and the
    mean step between neighbours, which grows with noise and falls with blur.
    """
    return _Columns(dataset) if dataset.schema.tabular else _of_channels(dataset)


class _Columns(Mapping[str, NDArray[Any]]):
    """A table's columns: all at once they would take its memory several times."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        features = dataset.schema.features[:MAX_FEATURES]
        self.places = {feature.name: at for at, feature in enumerate(features)}

    def __getitem__(self, name: str) -> NDArray[Any]:
        at = self.places[name]
        values = self.dataset.inputs[:, at].double().numpy()
        feature = self.dataset.schema.features[at]
        return names_of(values, feature.categories) if feature.kind == "category" else values

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def names_of(codes: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[Any]:
    """Return names for codes [N]; None where missing, `code 7` where no name is behind it."""
    known = {float(at): name for at, name in enumerate(names)}
    return np.array(
        [None if np.isnan(code) else known.get(code, f"code {code:g}") for code in codes],
        dtype=object,
    )


def _of_channels(dataset: Dataset) -> dict[str, NDArray[Any]]:
    schema = dataset.schema
    inputs = dataset.inputs.movedim(schema.feature_axis, 1).numpy()
    parts = [_measured(inputs[at : at + AT_ONCE]) for at in range(0, len(inputs), AT_ONCE)]
    table = np.concatenate(parts)
    return {
        f"{feature.name}, {what}": table[:, channel, at]
        for channel, feature in enumerate(schema.features[:MAX_FEATURES])
        for at, what in enumerate(PER_CHANNEL)
    }


def _measured(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [B, channels, 3] of inputs [B, channels, …]."""
    with np.errstate(invalid="ignore"):  # an infinite value has no deviation: NaN says so
        return _mean_std_step(inputs)


def _mean_std_step(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = inputs.reshape(*inputs.shape[:2], -1)
    axes = tuple(range(2, inputs.ndim))
    steps = [np.abs(np.diff(inputs, axis=axis)).reshape(*flat.shape[:2], -1) for axis in axes]
    step = np.concatenate(steps, axis=2) if inputs.ndim > 2 else np.zeros_like(flat)
    mean, deviation = flat.mean(axis=2, dtype=np.float64), flat.std(axis=2, dtype=np.float64)
    return np.stack(
        [
            np.where(np.abs(mean) <= ROUNDING * deviation, 0.0, mean),
            deviation,
            step.mean(axis=2, dtype=np.float64) if step.shape[2] else np.zeros(flat.shape[:2]),
        ],
        axis=2,
    )
