"""The approval of `retrain` without the retraining: what a worker runs in test_approval."""

from pathlib import Path
from typing import Any

from prefect import flow

from stillhouse.pipeline.publish import Published
from stillhouse_flows import approval


@flow(name="asking", validate_parameters=False, persist_result=False)
def asking(root: str, model: str, version: int) -> Any:
    """Ask about a version; do, when resumed, what was decided."""
    question = approval.asked()
    if question is not None:
        return approval.decide(Path(root), model, question)
    waits = Published("held", model, version, None, f"Version {version} passed and waits.")
    return approval.ask(Path(root), waits)
