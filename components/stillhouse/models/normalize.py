"""What stands between data space and a net: standardised numbers, one-hot categories, missing cells
made visible.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from stillhouse.data.schema import Schema
from stillhouse.errors import DataError, UsageError

# Where a row's features lie: an image's channels come first, a series' last.
FEATURE_AXIS = {"image": 0, "series": 1, "table": 0}
# Below this share of its own size, a feature's spread is rounding noise and would be blown up to a
# signal.
SMALLEST_SPREAD = 1e-6
CELLS = 2**18  # that are looked at together: a few MiB in double precision


class Normalize(nn.Module):
    """Encodes rows in data space for a net; its statistics are buffers, so that a state dict
    restores them.

    Numbers are standardised per channel or column. Where cells may be missing, NaN becomes the mean
    and one more feature says so. A category becomes one feature a value, all of them zero where it
    is missing or was never seen. Features come out in that order: numbers, marks of missing cells,
    categories.

    Attributes:
        shape: One encoded row: (channels, height, width), (T, D) or (D,).
    """

    mean: Tensor
    spread: Tensor
    numbers: Tensor
    holed: Tensor
    columns: Tensor
    codes: Tensor

    def __init__(self, schema: Schema) -> None:
        """Make an encoder that changes no number yet; `fit` learns the statistics.

        Raises:
            UsageError: Rows of this kind are no numbers.
            DataError: The schema names another number of features than a row has.
        """
        super().__init__()
        if schema.kind not in FEATURE_AXIS:
            raise UsageError(
                f"rows of kind {schema.kind} cannot be normalised.",
                fix=f"Known kinds: {', '.join(sorted(FEATURE_AXIS))}.",
            )
        axis, features = FEATURE_AXIS[schema.kind], schema.features
        if len(features) != schema.shape[axis]:
            raise DataError(
                f"the schema names {len(features)} features, a row has {schema.shape[axis]}.",
                where="schema",
                fix="Mend the source.",
            )
        numbers = [at for at, feature in enumerate(features) if feature.kind != "category"]
        holed = [place for place, at in enumerate(numbers) if features[at].missing]
        coded = [
            (at, code)
            for at, feature in enumerate(features)
            if feature.kind == "category"
            for code in range(len(feature.categories))
        ]
        self.axis = axis + 1  # rows come first
        self.plain = len(numbers) == len(features) and not holed
        self._column = (
            -1,
            *[1] * (len(schema.shape) - axis - 1),
        )  # broadcasts one value a feature over the axes behind it
        self.shape = (
            *schema.shape[:axis],
            len(numbers) + len(holed) + len(coded),
            *schema.shape[axis + 1 :],
        )
        # What follows from the schema is not stored with the weights; what was learned is.
        for name, found in (
            ("numbers", numbers),
            ("holed", holed),
            ("columns", [at for at, _ in coded]),
        ):
            self.register_buffer(name, torch.tensor(found, dtype=torch.int64), persistent=False)
        self.register_buffer(
            "codes",
            torch.tensor([float(code) for _, code in coded]).reshape(self._column),
            persistent=False,
        )
        self.register_buffer("mean", torch.zeros(len(numbers)).reshape(self._column))
        self.register_buffer("spread", torch.ones(len(numbers)).reshape(self._column))

    @classmethod
    def empty(cls, schema: Schema) -> "Normalize":
        """Return an encoder for such rows whose statistics are still to be loaded."""
        return cls(schema)

    @classmethod
    def fit(cls, inputs: Tensor, schema: Schema) -> "Normalize":
        """Return an encoder with the statistics of these rows; missing cells are left out of them.

        Args:
            inputs: [N, *schema.shape], data space; at least one row.
            schema: What a row is.

        Raises:
            DataError: There is no row.
        """
        if not len(inputs):
            raise DataError(
                "there are no rows to take a mean of.",
                where="train",
                fix="Give the split more rows.",
            )
        made = cls(schema)
        mean = made._mean(inputs, lambda flat: flat)
        spread = made._mean(inputs, lambda flat: (flat - mean[:, None]).square()).sqrt()
        constant = spread <= SMALLEST_SPREAD * mean.abs().clamp_min(SMALLEST_SPREAD)
        made.mean.copy_(mean.reshape(made._column))
        made.spread.copy_(torch.where(constant, 1.0, spread).reshape(made._column))
        return made

    def _mean(self, inputs: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean of a function of each feature's cells, [F]; part by part, for in double
        precision all rows together would be twice the data.
        """
        total = torch.zeros(len(self.numbers), dtype=torch.float64)
        count = torch.zeros(len(self.numbers), dtype=torch.int64)
        for part in torch.split(inputs.detach(), max(1, CELLS // max(1, inputs[0].numel()))):
            chosen = part.index_select(self.axis, self.numbers).movedim(self.axis, 0)
            flat = of(chosen.reshape(len(self.numbers), -1).double())
            total += flat.nansum(dim=1)
            count += (~flat.isnan()).sum(dim=1)
        return (total / count).nan_to_num(nan=0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return rows [B, *self.shape] for a net from rows [B, *schema.shape] in data space."""
        if self.plain:
            return (inputs - self.mean) / self.spread
        numbers = inputs.index_select(self.axis, self.numbers)
        missing = torch.isnan(numbers)
        standard = (torch.where(missing, self.mean, numbers) - self.mean) / self.spread
        marks = missing.index_select(self.axis, self.holed).to(inputs.dtype)
        categories = (inputs.index_select(self.axis, self.columns) == self.codes).to(inputs.dtype)
        return torch.cat([standard, marks, categories], dim=self.axis)

    def __call__(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, super().__call__(inputs))
