"""Stillhouse: a student is promoted only with a receipt."""

__version__ = "0.1.0"
