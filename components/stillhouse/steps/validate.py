"""Refuse data that a model should not learn from."""

from collections.abc import Mapping
from typing import Any

from stillhouse import config
from stillhouse.data import prepared
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.validation.expect import expect
from stillhouse.validation.settings import Settings
from stillhouse.validation.settings import check as check_settings

READS = (
    "prepare/train.safetensors",
    "prepare/val.safetensors",
    "prepare/test.safetensors",
    "prepare/schema.json",
    "prepare/data.json",
)


def run(job: Job) -> Metrics:
    """Write `validate/verdict.json`, also when it refuses: then it stays among the step's new
    files, which do not replace the old ones.

    Returns:
        `data/expectations` (count) and `data/failed_expectations` (count, those of severity warning
        and info; a critical one refuses).

    Raises:
        DataRefused: A critical expectation failed; the message names column, rows and the
            expectation. Mend the data or the settings.
        SettingsError: The settings name a column or an expectation that does not fit.
    """
    settings = job.settings(Settings, "validate")
    check_settings(settings)
    splits = {
        "train": prepared.load(job.files, "train"),
        "val": prepared.load(job.files, "val"),
        "test": prepared.load(job.files, "test"),
    }
    by = job.files.read_json("prepare/data.json")["split"]["by"]
    verdict = expect(splits, settings, by=by)
    job.files.write_json("validate/verdict.json", verdict.as_dict())
    verdict.raise_if_refused()
    return {
        "data/expectations": float(len(verdict.findings)),
        "data/failed_expectations": float(len(verdict.failed)),
    }


def check(params: Mapping[str, Any]) -> None:
    """Check the section; no data are read, and Great Expectations is not imported."""
    config.refuse_spaces(params.get("validate"), "validate")
    check_settings(config.build(Settings, params.get("validate"), where="validate"))


step = Step(
    name="validate",
    run=run,
    reads=READS,
    writes=("verdict.json",),
    sections=("validate",),
    check=check,
)
