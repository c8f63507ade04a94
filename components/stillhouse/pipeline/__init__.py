"""Which step is stale, restore it or run it, record it: the only room that knows DVC."""

from stillhouse.pipeline.project import Project, Result

__all__ = ["Project", "Result"]
