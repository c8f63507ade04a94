"""What good data is: Great Expectations decides."""

from stillhouse.validation.expectation import Expectation, Rows

__all__ = ["Expectation", "Rows"]
