"""Judge a classifier that has nothing to do with distillation, through MLflow."""

import mlflow
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
rows = pd.DataFrame({"age": rng.uniform(20, 90, 800), "pulse": rng.normal(70, 12, 800)})
rows["ill"] = ((rows.age > 60) ^ (rng.random(800) < 0.05)).astype(int)


def model(table: pd.DataFrame) -> np.ndarray:
    """Any function or MLflow model: classes, or probabilities [N, C]."""
    ill = 1 / (1 + np.exp(-(table["age"] - 58) / 3))
    return np.stack([1 - ill, ill], axis=1)


with mlflow.start_run():
    found = mlflow.models.evaluate(
        model,
        rows,
        targets="ill",
        model_type="classifier",
        evaluators="stillhouse",
        evaluator_config={"epsilon": 0.05, "attack_rows": 30, "queries": 40},
    )
print(found.metrics["stillhouse/accuracy"], found.metrics["stillhouse/robust_linf"])
print(found.artifacts["stillhouse/slices"].content[0])
