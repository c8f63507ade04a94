"""Nets, one file each."""

from stillhouse.architectures.architecture import Architecture

__all__ = ["Architecture"]
