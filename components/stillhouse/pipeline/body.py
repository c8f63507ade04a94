"""Run one step's body and put its files into place: all of them, or none."""

import contextlib
from collections.abc import Callable, Iterator

from stillhouse.environment import Place
from stillhouse.errors import short_of_memory
from stillhouse.failpoints import failpoint
from stillhouse.steps.step import Job, Progress, Step, untold
from stillhouse.workspace import StepFiles, Workspace, dump_json, sync_folder


def run_body(
    step: Step,
    workspace: Workspace,
    *,
    params: dict[str, object],
    place: Place,
    progress: Progress,
    told: Callable[[str], None] = untold,
) -> None:
    """Run a step; its files appear under artifacts/<step>/ only after its body has returned.

    Args:
        step: What to run.
        workspace: Where.
        params: The resolved settings.
        place: Threads and servers.
        progress: Shown while it works.
        told: Receives sentences that a user should read before long work begins.

    Raises:
        StillhouseError: Whatever the body refuses; the old files are still there.
        MemoryError: There was not enough, whichever library found out.
    """
    import torch

    from stillhouse.training.randomness import own_random_state

    torch.set_num_threads(place.threads)
    files = StepFiles(workspace, step.name)
    workspace.remove(f".stillhouse/new/{step.name}")
    job = Job(files, params, place, workspace.clock, progress, told=told)
    began = workspace.clock.seconds()
    # A source or another plugin may draw from the global generators: whatever this process did
    # before, it draws the same.
    with own_random_state(0), _short_of_memory():
        metrics = step.run(job)
    job.timing["seconds"] = round(workspace.clock.seconds() - began, 3)
    files.write_bytes(
        f"{step.name}/metrics.json",
        dump_json({name: float(value) for name, value in metrics.items()}),
    )
    files.write_bytes(f"{step.name}/{step.name}.timing.json", dump_json(job.timing))
    _swap(step, workspace)


@contextlib.contextmanager
def _short_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ImportError) as error:
        if short_of_memory(error):
            raise MemoryError(str(error).splitlines()[0]) from None
        raise


def _swap(step: Step, workspace: Workspace) -> None:
    fresh, final = workspace.hidden / "new" / step.name, workspace.artifacts / step.name
    old = workspace.hidden / "old" / step.name
    workspace.remove(f".stillhouse/old/{step.name}")
    old.parent.mkdir(parents=True, exist_ok=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    failpoint("pipeline.before_swap")
    if final.exists():
        final.rename(old)
    failpoint("pipeline.between_swaps")
    fresh.rename(final)
    sync_folder(final.parent)
    failpoint("pipeline.after_swap")
    workspace.remove(f".stillhouse/old/{step.name}")
    failpoint("pipeline.before_clearing")
    workspace.remove(f".stillhouse/work/{step.name}")
