"""My own expectation: a bool or a text per row. Then `validate.expectations: [{name: dose_fits_age}]`."""

from stillhouse.validation import Expectation


class DoseFitsAge(Expectation):
    accepts = frozenset({"table"})

    def __init__(self, *, per_year: float = 10.0) -> None:
        self.per_year = per_year

    def judge(self, rows):
        return rows.column("dose") <= self.per_year * rows.column("age")
