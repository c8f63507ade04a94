"""Refuse data that a model should not learn from."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse import config
from stillhouse.data import prepared
from stillhouse.data.notices import ExpectationMissed
from stillhouse.errors import SettingsError
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.validation import suite_file
from stillhouse.validation.expect import expect
from stillhouse.validation.settings import Settings
from stillhouse.validation.settings import check as check_settings

SHOWN = 5
READS = (
    "prepare/train.safetensors",
    "prepare/val.safetensors",
    "prepare/test.safetensors",
    "prepare/schema.json",
    "prepare/data.json",
    "prepare/keys.json",
)


def run(job: Job) -> Metrics:
    """Write `validate/verdict.json`, also when it refuses: then it stays among the step's new
    files, which do not replace the old ones.

    Returns:
        `data/expectations` (count) and `data/failed_expectations` (count, those of severity warning
        and info; a critical one refuses).

    Warns:
        ExpectationMissed: An expectation of severity warning failed; the first five are told.

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
    keys = {int(row): key for row, key in job.files.read_json("prepare/keys.json").items()}
    verdict = expect(splits, settings, by=by, written=_written(settings, job.root), keys=keys)
    job.files.write_json("validate/verdict.json", verdict.as_dict())
    verdict.raise_if_refused()
    for finding in [f for f in verdict.failed if f.severity == "warning"][:SHOWN]:
        warnings.warn(finding.sentence(), ExpectationMissed, stacklevel=2)
    return {
        "data/expectations": float(len(verdict.findings)),
        "data/failed_expectations": float(len(verdict.failed)),
    }


def _written(settings: Settings, root: Path) -> list[dict[str, Any]]:
    """Return what the user's own suite asks for."""
    if not settings.suite:
        return []
    path = config.file_of(settings.suite, root)
    if not path.is_file():
        raise SettingsError(
            f"there is no file '{settings.suite}'.",
            where="validate.suite",
            fix="Paths are relative to params.yaml.",
        )
    return suite_file.entries(path.read_bytes(), path.name)


def sources(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the suite that the section names, by its setting."""
    return {
        setting: path
        for setting, path in config.input_files(Settings, params.get("validate") or {}).items()
        if path
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
    sources=sources,
)
