"""What people look at: MLflow's runs, written as a retrain goes along."""

from stillhouse.tracking.client import warm
from stillhouse.tracking.redact import redact
from stillhouse.tracking.runs import abandoned
from stillhouse.tracking.tracker import Child, Tracker

__all__ = ["Child", "Tracker", "abandoned", "redact", "warm"]
