"""A project whose MLflow and Prefect are a team's servers, seen through a proxy and a wire that can
fail; and what has to hold of it in the end.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.house import Done, House, project
from mlflow import MlflowClient
from servers.proxy import Proxy
from servers.standing import Standing
from servers.wire import Wire

from stillhouse.environment import Place
from stillhouse.release.registry import Registry

SMALL = {
    "teacher": {"architecture": {"name": "mlp", "width": 64, "depth": 2}, "epochs": 15},
    "tune": {"trials": 1},
    "distill": {"epochs": 60, "seeds": 1},
    "robustness": {"attacks": [{"name": "fgsm", "norm": "linf", "epsilon": 0.1}]},
    "gate": {"rules": [{"metric": "test/accuracy", "at_least": 0.3}]},
}


@dataclass(frozen=True)
class Team:
    """Attributes:
    house: The project.
    mlflow: Between it and MLflow.
    prefect: Between it and Prefect.
    """

    house: House
    mlflow: Proxy
    prefect: Wire

    def run(self, *words: object, code: int | None = 0, **env: str) -> Done:
        return self.house.stillhouse("run", "--json", *words, env={**self.env, **env}, code=code)

    @property
    def env(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.mlflow.url,
            "PREFECT_API_URL": f"{self.prefect.url}/api",
        }

    @property
    def registry(self) -> Registry:
        return Registry.open(
            Place(self.house.root, self.mlflow.url, None, None, None, 1), self.model
        )

    @property
    def model(self) -> str:
        import yaml

        name: str = yaml.safe_load((self.house.root / "params.yaml").read_text())["model"]
        return name

    def told(self) -> list[str]:
        """Return what is wrong with what MLflow was told: runs that are open, doubles, metrics that
        came twice, records that still wait.
        """
        client = MlflowClient(tracking_uri=self.mlflow.url)
        found = client.get_experiment_by_name(self.model)
        runs = client.search_runs([found.experiment_id], max_results=1000)
        broken = [
            f"{r.info.run_name} is {r.info.status}" for r in runs if r.info.status == "RUNNING"
        ]
        names = Counter((r.data.tags.get("mlflow.parentRunId"), r.info.run_name) for r in runs)
        broken += [f"{name} is there {n} times" for name, n in names.items() if n > 1]
        for run in runs:
            for key in run.data.metrics:
                times = len(client.get_metric_history(run.info.run_id, key))
                due = 2 if key.startswith("receipt/gain_over_") else 1  # distill and report tell it
                broken += [f"{run.info.run_name}: {key} came {times} times"] if times > due else []
        left = [str(p) for p in (self.house.root / ".stillhouse/spool").rglob("*.jsonl")]
        return broken + left

    def children(self) -> list[str]:
        client = MlflowClient(tracking_uri=self.mlflow.url)
        found = client.get_experiment_by_name(self.model)
        runs = client.search_runs([found.experiment_id], max_results=1000)
        return sorted(r.info.run_name for r in runs if "mlflow.parentRunId" in r.data.tags)


def team(root: Path, model: str, servers: tuple[Standing, Standing], **more: Any) -> Team:
    """Make a project on these servers, with its own ways to them."""
    house = project(root, {"model": model, **SMALL, **more})
    mlflow, prefect = servers
    return Team(house, Proxy(mlflow.port).open(), Wire(prefect.port).open())
