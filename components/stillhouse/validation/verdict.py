"""What the expectations found, and the one sentence that refuses."""

from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.errors import DataRefused
from stillhouse.validation.settings import Severity

SHOWN = 5
SHIFT = "(shift of the class)"


@dataclass(frozen=True)
class Finding:
    """One expectation's result.

    Attributes:
        split: The split that holds all unexpected rows; `all` where several do or none is named.
        column: Of the table of rows; empty for the whole of it.
        expectation: Its name.
        arguments: Its bounds or values, in words; empty where it takes none.
        severity: How much it matters.
        passed: What Great Expectations decided.
        observed: A value, or how many rows were unexpected and with what values.
        count: Unexpected rows in all.
        rows: The row numbers of the first 100 of them, as the source counts rows.
        keys: The same rows in their owner's words, where they have names.
    """

    split: str
    column: str
    expectation: str
    arguments: str
    severity: Severity
    passed: bool
    observed: str
    count: int
    rows: tuple[int, ...]
    keys: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return column, rows, expectation and what was found instead."""
        names = self.keys if len(self.keys) == len(self.rows) else self.rows
        some = ", ".join(str(name) for name in names[:SHOWN])
        more = f" and {self.count - SHOWN} more" if self.count > SHOWN else ""
        places = f", row{'s' if self.count > 1 else ''} {some}{more}" if self.rows else ""
        bounds = f" ({self.arguments})" if self.arguments else ""
        if self.column in (
            f"({self.expectation})",
            SHIFT,
        ):  # one of our own: the column is its judgement
            return f"{self.expectation}{bounds}{places}: {self.observed}."
        return f"column '{self.column}'{places}: {self.expectation}{bounds} found {self.observed}."


@dataclass(frozen=True)
class Verdict:
    """All findings of a validation, and a summary of what the splits share.

    Attributes:
        findings: In the suite's order.
        leakage: Rows that lie in two splits, by what they share: `{"rows": [row], "groups": [row],
            "time": [row]}`, the first 100 of each.
    """

    findings: tuple[Finding, ...]
    leakage: dict[str, list[int]]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings that did not pass, the critical ones first."""
        order = ("critical", "warning", "info")
        return tuple(
            sorted(
                (f for f in self.findings if not f.passed), key=lambda f: order.index(f.severity)
            )
        )

    @property
    def passed(self) -> bool:
        """Whether no critical expectation failed."""
        return not any(f.severity == "critical" for f in self.failed)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "passed": self.passed,
            "expectations": [asdict(f) for f in self.findings],
            "leakage": self.leakage,
        }

    def raise_if_refused(self) -> None:
        """Refuse data that failed a critical expectation.

        Raises:
            DataRefused: The message names the first one's column, rows and expectation, and counts
                the others.
        """
        if self.passed:
            return
        first, *others = [f for f in self.failed if f.severity == "critical"]
        also = ""
        if others:
            names = "; ".join(f"column '{f.column}': {f.expectation}" for f in others[:SHOWN])
            also = f" {len(others)} more failed: {names}{'; …' if len(others) > SHOWN else ''}."
        raise DataRefused(
            first.sentence() + also,
            where="validate",
            fix="Mend the rows at their source, or change what `validate` expects.",
        )
