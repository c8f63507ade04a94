"""What rows are: the one value that says image, table or series, and the bounds that an attack and
a validation respect.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["image", "table", "series", "text", "tokens"]
FeatureKind = Literal["number", "integer", "category", "binary"]
Task = Literal["classification", "regression", "multi_label"]


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
class Quantity:
    """A number that is to be told: the target of a regression.

    Attributes:
        name: As the source calls it.
        unit: Of its values; empty if dimensionless.
        quantiles: Levels in (0, 1), rising, with 0.5 among them, that a model tells in place of the
            mean; empty: the mean.
    """

    name: str
    unit: str = ""
    quantiles: tuple[float, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a model tells of it, by column."""
        return tuple(f"q{level:g}" for level in self.quantiles) or ("mean",)


@dataclass(frozen=True)
class Schema:
    """What every row of a data set looks like.

    Attributes:
        kind: image rows are [channels, height, width] in [0, 1]; series rows [T, D]; table rows [D]
            in raw units.
        shape: The shape of one row's inputs.
        classes: Class names by code; none in a regression, nor where a row has several labels. They
            are data: text that may be hostile.
        features: One a column (table) or channel (image, series).
        task: What is predicted; `stillhouse.evaluation.tasks` knows what follows from it.
        quantity: What a regression tells; None for classes.
        positive: Of two classes the one that is looked for; empty: the second.
        constraints: What holds between the columns of every row, such as `systolic > diastolic`.
        rate: Samples a second of the recordings that rows come from, where files say it; 0: none
            does.
        labels: Names by column of labels of which a row may have several, or none; empty for
            classes and quantities.
    """

    kind: Kind
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    task: Task = "classification"
    # Neither is part of a data set's identity where it says nothing.
    quantity: Quantity | None = field(default=None, repr=False)
    positive: str = field(default="", repr=False)
    constraints: tuple[str, ...] = field(default=(), repr=False)
    rate: int = field(default=0, repr=False)
    labels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a model answers, by column: classes, labels, or what it tells of a quantity."""
        return self.labels or self.classes if self.quantity is None else self.quantity.outputs

    @property
    def tabular(self) -> bool:
        """Whether each feature is one column, so that columns can be spoken of by name."""
        return self.kind == "table"

    @property
    def feature_axis(self) -> int:
        """The axis of inputs [N, *shape] along which the features lie: columns, or channels."""
        return 2 if self.kind == "series" else 1

    @property
    def positive_code(self) -> int | None:
        """The code of the class that is looked for; None where there are not two."""
        if len(self.classes) != 2:
            return None
        return self.classes.index(self.positive) if self.positive else 1

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        said = asdict(self)
        return {key: said[key] for key in said if key not in _OPTIONAL or said[key]}

    @property
    def identity(self) -> str:
        """All of it as text; equal schemas have equal ones."""
        more = (self.quantity, self.positive, self.constraints, self.rate, self.labels)
        told = [repr(value) for value in more if value]
        return "".join([repr(self), *told])

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Schema":
        """Return the schema that `as_dict` described."""
        features = tuple(
            Feature(**{**f, "categories": tuple(f["categories"])}) for f in value["features"]
        )
        told = value.get("quantity")
        return cls(
            value["kind"],
            tuple(value["shape"]),
            tuple(value["classes"]),
            features,
            value["task"],
            Quantity(**{**told, "quantiles": tuple(told["quantiles"])}) if told else None,
            value.get("positive", ""),
            tuple(value.get("constraints", ())),
            value.get("rate", 0),
            tuple(value.get("labels", ())),
        )


_OPTIONAL = frozenset({"quantity", "positive", "constraints", "rate", "labels"})
