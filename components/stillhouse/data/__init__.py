"""Rows, what is known of them, and where they come from."""

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.source import Source

__all__ = ["Dataset", "Feature", "Schema", "Source"]
