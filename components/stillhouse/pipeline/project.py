"""A Stillhouse project: its settings, its steps, what is stale, and how a step is brought up to
date.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stillhouse import environment
from stillhouse.environment import Place
from stillhouse.errors import UsageError
from stillhouse.failpoints import failpoint
from stillhouse.pipeline import budget, lockfile, settings, telling
from stillhouse.pipeline.body import run_body
from stillhouse.pipeline.budget import Purse
from stillhouse.pipeline.stages import Stages
from stillhouse.steps import all as steps_of
from stillhouse.steps.step import Progress, Step, silent
from stillhouse.workspace import Workspace, dump_json

if TYPE_CHECKING:
    from stillhouse.release.registry import Registry
    from stillhouse.tracking import Tracker

State = Literal["ran", "restored", "unchanged"]


@dataclass(frozen=True)
class Result:
    """How a step came up to date.

    Attributes:
        name: The step.
        state: It ran, was restored from the cache, or nothing had changed.
        seconds: How long that took.
    """

    name: str
    state: State
    seconds: float


def ignore(sentence: str) -> None:
    """Tell nobody."""


@dataclass
class Project:
    """The project in one folder, as one run sees it.

    Attributes:
        workspace: The folder.
        params: Resolved settings, every section present.
        sets: The `--set` texts behind them.
        place: Servers and threads.
        steps: By name, in order.
        told: Receives sentences about what was found and mended.
        progress: Receives (done, total, note) of the step that runs.
        limit: What the steps of this run may take together, seconds; None for no limit.
        code: Digest of the code behind each step, once it is locked.
    """

    workspace: Workspace
    params: dict[str, Any]
    sets: tuple[str, ...]
    place: Place
    steps: dict[str, Step]
    told: Callable[[str], None] = ignore
    progress: Progress = silent
    limit: float | None = None
    code: dict[str, str] = field(default_factory=dict, repr=False)
    _stages: Stages | None = field(default=None, repr=False)
    _tracker: "Tracker | None" = field(default=None, repr=False)

    @classmethod
    def open(
        cls,
        root: Path,
        sets: Sequence[str] = (),
        *,
        told: Callable[[str], None] = ignore,
        progress: Progress = silent,
    ) -> "Project":
        """Return the project at `root` with every setting checked; nothing is computed or written
        yet.

        Raises:
            SettingsError: Something in params.yaml, or in `sets`, cannot be meant.
        """
        place = environment.place(root)
        steps = steps_of.load()
        asked = settings.read(root, sets)
        params, workspace = settings.check(asked, steps, root), Workspace(root)
        limit = budget.seconds(asked)
        return cls(workspace, params, tuple(sets), place, steps, told, progress, limit)

    def with_sets(self, *sets: str) -> "Project":
        """Return this project with more settings for this run, its lock held and its run open as
        they are, from the same purse.
        """
        other = Project.open(
            self.workspace.root, (*self.sets, *sets), told=self.told, progress=self.progress
        )
        other.purse.spent = self.purse.spent
        other.track(self._tracker)
        self.close()
        return other

    @property
    def model(self) -> str:
        """The registered model's name."""
        return str(self.params["model"])

    @cached_property
    def registry(self) -> "Registry":
        """The model's registry, opened on first use. Errors as `Registry.open`."""
        from stillhouse.release.registry import Registry

        return Registry.open(self.place, self.model)

    @cached_property
    def purse(self) -> Purse:
        """What this run spent, and may spend yet."""
        return Purse(self.limit, self.workspace, self.params)

    @property
    def tracker(self) -> "Tracker":
        """The open run of this retrain.

        Raises:
            UsageError: None is open: only `publish.tracked` opens one.
        """
        if self._tracker is None:
            raise UsageError("no run is open.", fix="Work inside publish.tracked(project).")
        return self._tracker

    def track(self, tracker: "Tracker | None") -> None:
        """Tell every step's metrics to this run from now on, or to nobody."""
        self._tracker = tracker

    @contextlib.contextmanager
    def held(
        self, holder: str, waiting: Callable[[str], None] = ignore, *, wait: float = 3600.0
    ) -> Iterator[None]:
        """Hold the workspace for one run; a second one waits and is told for whom.

        Args:
            holder: Who we are, for those who wait.
            waiting: Called once, with the holder's words, if somebody else holds it.
            wait: Seconds after which we give up.

        Errors as `Workspace.lock`.
        """
        with self.workspace.lock(holder=holder, wait=wait, waiting=waiting):
            try:
                yield
            finally:
                self.close()

    def close(self) -> None:
        """Let go of DVC."""
        if self._stages is not None:
            self._stages.close()
            self._stages = None

    # --- what is stale ---------------------------------------------------------------------------

    def lock(self) -> Stages:
        """Write code.lock.json and the inputs' digests, so that DVC sees code and files.

        `--set` lays its own lock over the file's.

        Raises:
            SourceError: A file that a section names is not there.
        """
        plain = settings.read(self.workspace.root)
        mine = lockfile.code_lock(self.workspace, self.steps, self.params)
        on_disk = mine if not self.sets else lockfile.code_lock(self.workspace, self.steps, plain)
        failpoint("pipeline.before_inputs")
        for name, step in self.steps.items():
            self.workspace.write_if_changed(
                lockfile.inputs_name(name),
                dump_json(lockfile.named_files(step, self.params, self.workspace.root)),
            )
        failpoint("pipeline.before_code_lock")
        self.workspace.write_if_changed(lockfile.CODE_LOCK, dump_json(on_disk))
        failpoint("pipeline.after_code_lock")
        overlay = {
            "params.yaml": settings.dump(self.params),
            lockfile.CODE_LOCK: dump_json(mine).decode(),
        }
        self.close()
        self.code = dict(mine["steps"])
        self._stages = Stages(self.workspace.root, overlay, self.told, self.workspace.clock)
        return self._stages

    @property
    def stages(self) -> Stages:
        """DVC's view of this run; locked on first use."""
        return self._stages or self.lock()

    def stale(self, *, believed: bool = True) -> list[str]:
        """Return the steps whose results do not belong to the settings, code and inputs as they are
        now; while the ledger is not `believed`, those that read the champion are among them.
        """
        from stillhouse.pipeline import champion

        if not (self.workspace.root / "dvc.lock").is_file():
            return list(self.steps)
        upstream = self.stages.stale(name for name in self.steps if name not in champion.READERS)
        if upstream or not believed:
            return [*upstream, *champion.READERS]
        champion.refresh(self)
        return self.stages.stale(champion.READERS)

    def unchanged(self) -> "Iterator[Result]":
        """Yield every step of a project in which nothing is stale, its files checked by hash; end
        early at one that is not whole.
        """
        clock = self.workspace.clock
        for name in self.steps:
            began = clock.seconds()
            if not self.stages.whole(name):
                return
            yield Result(name, "unchanged", round(clock.seconds() - began, 3))

    # --- bringing a step up to date --------------------------------------------------------------

    def bring_up_to_date(self, name: str) -> Result:
        """Restore a step's results, or run it and record them. What is served was checked by hash.

        Raises:
            StillhouseError: Whatever the step refuses; its old results are still there.
        """
        from stillhouse.pipeline import champion

        clock = self.workspace.clock
        began = clock.seconds()
        if name == champion.READERS[0]:
            champion.refresh(self)
        state: State | None = self.stages.up_to_date(name)
        if state is None:
            self.purse.before(name)
            step, ran = self.steps[name], clock.seconds()
            lockfile.verify_inputs(self.workspace, step, self.params)
            try:
                with self.stages.reserved(name):
                    run_body(
                        step,
                        self.workspace,
                        params=self.params,
                        place=self.place,
                        progress=self.purse.during(name, self.progress),
                        told=self.told,
                    )
            finally:
                self.purse.paid(clock.seconds() - ran)
            self.stages.record(name)
            state = "ran"
        if name == "prepare":
            settings.fit(self.params, self.steps, self.artifact("prepare/schema.json"))
        if self._tracker is not None:
            telling.tell(self, self._tracker, name, ran=state == "ran")
        return Result(name, state, round(clock.seconds() - began, 3))

    def run_alone(self, name: str) -> None:
        """Run a step's body as DVC's command does: no DVC, no cache, but only on code and files
        that were locked.

        Raises:
            StaleLock: A file that it uses differs from code.lock.json, or from the inputs' digests.
        """
        step = self.steps[name]
        lockfile.verify_code(self.workspace, step, self.params)
        lockfile.verify_inputs(self.workspace, step, self.params)
        run_body(
            step,
            self.workspace,
            params=self.params,
            place=self.place,
            progress=self.progress,
            told=self.told,
        )

    # --- what the results say --------------------------------------------------------------------

    def artifact(self, name: str) -> Any:
        """Return what `step/file.json` holds."""
        return self.workspace.read_json(f"artifacts/{name}")

    def metrics(self, step: str) -> Mapping[str, float]:
        """Return a step's metrics."""
        found: Mapping[str, float] = self.artifact(f"{step}/metrics.json")
        return found

    def timing(self, step: str) -> Mapping[str, float]:
        """Return a step's clocks."""
        found: Mapping[str, float] = self.artifact(f"{step}/{step}.timing.json")
        return found

    @property
    def verdict(self) -> Literal["promote", "hold", "reject"]:
        """What the gate said."""
        said: Literal["promote", "hold", "reject"] = self.artifact("gate/verdict.json")["verdict"]
        return said
