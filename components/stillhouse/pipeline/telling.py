"""What MLflow is told of a step: its metrics, its clocks, and a child run a trial and an arm."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stillhouse.pipeline.project import Project
    from stillhouse.tracking import Child, Tracker


def tell(project: "Project", tracker: "Tracker", name: str, *, ran: bool) -> None:
    """Log a step that is up to date.

    Trials and arms are told when they ran now, or by a run that was killed before it told; others
    were told by the run that made them.
    """
    tracker.log_step(name, _by_path(name, project.metrics(name)), project.timing(name))
    if name in CHILDREN and (ran or tracker.resumed):
        tracker.log_children(CHILDREN[name](project))
    if name == "export":
        fp32 = project.artifact("export/latency.timing.json")["fp32"]
        tracker.log_metrics(
            {"edge/latency_ms_p50": fp32["p50_ms"], "edge/latency_ms_p95": fp32["p95_ms"]}
        )
    if name == "report":
        cost = project.artifact("report/receipt.json")["cost"]
        tracker.log_metrics({"cost/usd": cost["usd"], "cost/seconds": cost["seconds"]})
        tracker.set_tags({"stillhouse.verdict": project.verdict})


def _by_path(name: str, metrics: "Mapping[str, float]") -> "dict[str, float]":
    """Return a step's metrics as the parent run names them: the teacher's stand apart, for
    `val/accuracy` and `test/accuracy` are the student's.
    """
    return (
        {f"teacher/{path}": value for path, value in metrics.items()}
        if name == "teacher"
        else dict(metrics)
    )


def _trials(project: "Project") -> "Iterator[Child]":
    from stillhouse.tracking import Child

    for arm, study in project.artifact("tune/trials.json")["studies"].items():
        for trial in study["trials"]:
            ends = {"complete": "FINISHED", "pruned": "KILLED"}  # as Optuna's own callback tells it
            at = {"stillhouse.dropped_at": f"{trial['at']:g}"} if "at" in trial else {}
            yield Child(
                name=f"{arm}/trial-{trial['number']}",
                metrics=trial["values"] or {},
                params=trial["params"],
                tags={"stillhouse.arm": arm, "stillhouse.trial": str(trial["number"]), **at},
                status=ends.get(trial["state"], "FAILED"),
            )


def _arms(project: "Project") -> "Iterator[Child]":
    from stillhouse.tracking import Child

    reached = project.metrics("distill")
    for arm in project.artifact("distill/arms.json")["arms"]:
        name = arm["name"]
        yield Child(
            name=f"{name}/arm",
            metrics={
                **{
                    f"test/{metric.removeprefix(own)}": value
                    for metric, value in reached.items()
                    if metric.startswith(own := f"arms/{name}/test_")
                },
                "arm/steps": arm["steps"],
                "arm/seeds": len(arm["seeds"]),
            },
            params=arm["settings"],
            tags={"stillhouse.arm": name},
        )


# step → what it gives of child runs.
CHILDREN = {"tune": _trials, "distill": _arms}
