"""The steps in their order."""

import importlib

from stillhouse.failpoints import STEPS
from stillhouse.steps.step import Step

NAMES: tuple[str, ...] = STEPS


def load() -> dict[str, Step]:
    """Return every step by name, in order; this imports them (not what their bodies import)."""
    return {name: importlib.import_module(f"stillhouse.steps.{name}").step for name in NAMES}
