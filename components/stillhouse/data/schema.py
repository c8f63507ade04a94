"""What rows are: the one value that says image, table or series, and the bounds that an attack and
a validation respect.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["image", "table", "series", "text", "tokens"]
FeatureKind = Literal["number", "integer", "category", "binary"]


@dataclass(frozen=True)
class Feature:
    """One column of a table, one channel of an image or series.

    Attributes:
        name: As the source calls it.
        kind: A category's values are codes 0, 1, … into `categories`; missing is NaN.
        unit: Of the raw values; empty if dimensionless.
        low: The smallest raw value that is allowed, or None.
        high: The largest one, or None.
        mutable: Whether an attack may change it.
        categories: Names behind the codes, sorted; empty unless `kind` is category.
        missing: Whether cells may be missing (NaN).
    """

    name: str
    kind: FeatureKind = "number"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    mutable: bool = True
    categories: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True)
class Schema:
    """What every row of a data set looks like.

    Attributes:
        kind: image rows are [channels, height, width] in [0, 1]; series rows [T, D]; table rows [D]
            in raw units.
        shape: The shape of one row's inputs.
        classes: Class names by code. They are data: text that may be hostile.
        features: One a column (table) or channel (image, series).
        task: What is predicted. Classification so far.
    """

    kind: Kind
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    task: Literal["classification"] = "classification"

    @property
    def tabular(self) -> bool:
        """Whether each feature is one column, so that columns can be spoken of by name."""
        return self.kind == "table"

    @property
    def feature_axis(self) -> int:
        """The axis of inputs [N, *shape] along which the features lie: columns, or channels."""
        return 2 if self.kind == "series" else 1

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Schema":
        """Return the schema that `as_dict` described."""
        features = tuple(
            Feature(**{**f, "categories": tuple(f["categories"])}) for f in value["features"]
        )
        return cls(
            value["kind"], tuple(value["shape"]), tuple(value["classes"]), features, value["task"]
        )
