"""One parent run a retrain, children for trials and arms: opened once however often the retrain is
killed, and never in the way of the work.

MLflow that is away when a run is opened is an error; lost midway, what it should have been told
waits in a spool.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse.failpoints import failpoint
from stillhouse.tracking import owner
from stillhouse.tracking.client import Missing, call, client
from stillhouse.tracking.redact import redact, redact_setting
from stillhouse.tracking.runs import RUN_KEY, bury, experiment_of, find_or_create, millis, search
from stillhouse.tracking.spool import Spool, waiting
from stillhouse.tracking.storable import storable, storable_name
from stillhouse.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHILD = "stillhouse.child"
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
_BATCH = 100  # MLflow takes at most 100 params or tags in one call


@dataclass(frozen=True)
class Child:
    """A run inside the retrain: a trial, an arm.

    Attributes:
        name: Unique within the retrain, such as `student/trial-3`; telling the same name again adds
            nothing.
        metrics: Path → value.
        params: Path → value; cut at 500 characters, secrets hidden.
        tags: For filters.
        status: MLflow's word for how it ended.
    """

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = "FINISHED"


def flatten(settings: object, path: str = "") -> dict[str, str]:
    """Return the leaves of nested settings by dotted path, as text without secrets; lists count as
    leaves, being what a reader compares.
    """
    if isinstance(settings, Mapping) and settings:
        return {
            k: v
            for key, inner in settings.items()
            for k, v in flatten(inner, f"{path}.{key}" if path else str(key)).items()
        }
    return {storable_name(path): storable(redact_setting(path, settings))}


@dataclass
class Tracker:
    """The open parent run of a retrain.

    Attributes:
        run_id: MLflow's id of it.
        experiment: Its experiment's id.
        lost: Whether MLflow went away since; from then on everything is spooled until `replay`.
        resumed: Whether the run was there already: what was killed before it could be told may be
            missing from it.
    """

    place: Place
    workspace: Workspace
    clock: Clock
    run_id: str
    experiment: str
    lost: bool = False
    resumed: bool = False
    _mlflow: "MlflowClient" = field(repr=False, kw_only=True)
    _children: set[str] | None = field(default=None, repr=False)
    _metrics: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls,
        place: Place,
        workspace: Workspace,
        model: str,
        run_key: str,
        *,
        name: str = "",
        tags: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM,
    ) -> "Tracker":
        """Open the run of `run_key`, the same one again after a kill.

        Runs whose process died are marked KILLED, and what an earlier run spooled is told.

        Args:
            place: Where MLflow is.
            workspace: For the spool.
            model: The experiment's name.
            run_key: What makes this retrain this one: equal keys share one run.
            name: For people.
            tags: Such as git's commit.
            clock: For time stamps.

        Raises:
            ServerUnreachable: MLflow does not answer.
        """
        mlflow = client(place)
        experiment = experiment_of(mlflow, place, model)
        mine = {
            RUN_KEY: run_key,
            "stillhouse.start": clock.now().isoformat(timespec="seconds"),
            **owner.tags(workspace),
        }
        bury(mlflow, place, experiment, run_key)
        run_id, old = find_or_create(
            mlflow,
            place,
            experiment,
            {**_tags(tags or {}), **mine},
            name,
            clock.now(),
        )
        tracker = cls(
            place,
            workspace,
            clock,
            run_id,
            experiment,
            resumed=old,
            _mlflow=mlflow,
            _children=None if old else set(),
            _metrics={} if old else {run_id: {}},
        )
        tracker.replay()
        return tracker

    def log_params(self, settings: Mapping[str, Any]) -> None:
        """Tell the resolved settings, flat; a value that is there already stays, since MLflow's
        params cannot change.
        """
        self._tell({"kind": "params", "params": flatten(settings)})

    def log_step(
        self, name: str, metrics: Mapping[str, float], timing: Mapping[str, float] | None = None
    ) -> None:
        """Tell a step's metrics by their paths, and its clocks under `timing/<step>/`."""
        clocks = {f"timing/{name}/{key}": float(value) for key, value in (timing or {}).items()}
        self.log_metrics({**metrics, **clocks})

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Tell metrics of the whole retrain, such as `cost/usd`."""
        self._tell(
            {
                "kind": "metrics",
                "metrics": {storable_name(k): float(v) for k, v in metrics.items()},
                "at": millis(self.clock.now()),
            }
        )

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tell tags, secrets hidden."""
        self._tell({"kind": "tags", "tags": _tags(tags)})

    def log_children(self, children: Iterable[Child]) -> None:
        """Tell trials or arms, each as a child run; one that was told before is left as it is."""
        now = millis(self.clock.now())
        for child in children:
            self._tell({"kind": "child", "at": now, **_plain(child)})

    def log_file(self, path: str, folder: str = "") -> None:
        """Keep a file, such as the receipt, with the run; it is not spooled, because the release
        keeps its own copies.

        Raises:
            ServerUnreachable: MLflow does not answer.
        """
        call(lambda: self._mlflow.log_artifact(self.run_id, path, folder or None), self.place)

    def finish(self) -> None:
        """Mark the run as finished."""
        self._tell({"kind": "end", "status": "FINISHED", "at": millis(self.clock.now())})

    def fail(self, why: str, *, killed: bool = False) -> None:
        """Mark the run as failed, or as killed by Ctrl-C, with the reason."""
        self.set_tags({"stillhouse.failure": why})
        self._tell(
            {
                "kind": "end",
                "status": "KILLED" if killed else "FAILED",
                "at": millis(self.clock.now()),
            }
        )

    def replay(self) -> None:
        """Tell what was spooled, of this run and of earlier ones; call it before anything is
        registered.

        Raises:
            ServerUnreachable: MLflow is still away; nothing is lost.
        """
        for spool in waiting(self.workspace):
            try:
                self._replay(spool)
            except Missing:  # the run was deleted, or MLflow's database is an older back-up
                spool.set_aside()
        self.lost = False

    def _replay(self, spool: Spool) -> None:
        records = spool.records()
        while records:
            self._apply(spool.run_id, records[0])
            failpoint("tracking.between_replays")
            records = records[1:]
            spool.keep(records)

    def _tell(self, record: dict[str, Any]) -> None:
        if not self.lost:
            try:
                self._apply(self.run_id, record)
                return
            except ServerUnreachable:
                self.lost = True
                self._children = None  # what was begun may be there: look before it is told anew
        Spool(self.workspace, self.run_id).put(record)

    def _apply(self, run_id: str, record: dict[str, Any]) -> None:
        """Carry one record to MLflow; a second time changes nothing."""
        kind = record["kind"]
        if kind == "child":
            self._child(run_id, record)
        elif kind == "end":
            self._sweep(run_id)
            failpoint("tracking.before_end")
            call(
                lambda: self._mlflow.set_terminated(run_id, record["status"], record["at"]),
                self.place,
            )
            failpoint("tracking.after_end")
        elif kind == "params":
            known = call(lambda: self._mlflow.get_run(run_id), self.place).data.params
            self._batch(
                run_id, params={k: v for k, v in record["params"].items() if k not in known}
            )
        elif kind == "metrics":
            told = self._told(run_id)
            new = {
                name: value for name, value in record["metrics"].items() if told.get(name) != value
            }
            self._batch(run_id, metrics=new, at=record["at"])
            told.update(new)
        else:
            self._batch(run_id, tags=record["tags"])

    def _told(self, run_id: str) -> dict[str, float]:
        """Return the metrics that a run has: a retrain that goes on after a kill tells again what
        its steps came to, and the same value needs no second point.
        """
        if run_id not in self._metrics:
            run = call(lambda: self._mlflow.get_run(run_id), self.place)
            self._metrics[run_id] = dict(run.data.metrics)
        return self._metrics[run_id]

    def _child(self, parent: str, record: dict[str, Any]) -> None:
        known = self._known_children(parent)
        if record["name"] in known:
            return
        tags = {
            PARENT: parent,
            NAME: record["name"],
            **owner.tags(self.workspace),
            **record["tags"],
        }
        failpoint("tracking.before_child")
        made = call(
            lambda: self._mlflow.create_run(self.experiment, record["at"], tags, record["name"]),
            self.place,
        ).info.run_id
        failpoint("tracking.between_child")
        call(lambda: self._mlflow.set_terminated(made, record["status"], record["at"]), self.place)
        # The tag that makes it count is told last: a child without it was cut short, and is told
        # anew.
        self._batch(
            made,
            metrics=record["metrics"],
            params=record["params"],
            tags={CHILD: record["name"]},
            at=record["at"],
        )
        failpoint("tracking.after_child")
        known.add(record["name"])

    def _known_children(self, parent: str) -> set[str]:
        if parent == self.run_id and self._children is not None:
            return self._children
        names = self._sweep(parent)
        if parent == self.run_id:
            self._children = names
        return names

    def _sweep(self, parent: str) -> set[str]:
        """Return the names of the children that were told whole.

        Delete those that were cut short, or that MLflow's client made twice because an answer was
        lost; those of another process that still lives are left to it.
        """
        mine, names = owner.tags(self.workspace), set()
        for run in search(
            self._mlflow, self.place, self.experiment, f"tags.`{PARENT}` = '{parent}'"
        ):
            tags = run.data.tags
            ours = (
                tags.items() >= mine.items()
                or owner.PID not in tags
                or owner.is_dead(tags, self.workspace)
            )
            if CHILD in tags:
                names.add(tags[CHILD])
            elif ours:
                call(partial(self._mlflow.delete_run, run.info.run_id), self.place)
        return names

    def _batch(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        at: int = 0,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        values = [Metric(k, v, at, 0) for k, v in (metrics or {}).items()]
        pairs = [Param(k, v) for k, v in (params or {}).items()]
        marks = [RunTag(k, v) for k, v in (tags or {}).items()]
        while values or pairs or marks:
            last = len(values) <= _BATCH and len(pairs) <= _BATCH
            now = (values[:_BATCH], pairs[:_BATCH], marks[:_BATCH] if last else [])
            failpoint("tracking.before_batch")
            call(partial(self._mlflow.log_batch, run_id, *now), self.place)
            failpoint("tracking.after_batch")
            values, pairs, marks = (
                values[_BATCH:],
                pairs[_BATCH:],
                marks[_BATCH:] if last else marks,
            )


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {storable_name(k): storable(redact(v)) for k, v in tags.items()}


def _plain(child: Child) -> dict[str, Any]:
    return {
        "name": child.name,
        "metrics": {storable_name(k): float(v) for k, v in child.metrics.items()},
        "params": {
            storable_name(k): storable(redact_setting(k, v)) for k, v in child.params.items()
        },
        "tags": _tags(child.tags),
        "status": child.status,
    }
