import json

import pytest
from receipt.project import Plan, make

from stillhouse.errors import SettingsError
from stillhouse.steps.report import BOUND, CLOCKS, check, run, step


def test_the_step_writes_receipt_and_page_and_returns_its_metrics(tmp_path):
    job = make(tmp_path)
    metrics = run(job)
    receipt = json.loads(job.files.read_bytes("report/receipt.json"))
    assert set(metrics) == {
        "receipt/gain_over_none",
        "receipt/gain_over_hard",
        "receipt/negative_flips",
    }
    assert metrics["receipt/negative_flips"] == receipt["flips"]["negative"] / 240
    assert metrics["receipt/gain_over_none"] == receipt["teacher_gain"][0]["estimate"]
    assert {p.name for p in job.files.fresh.iterdir()} == set(step.writes)


def test_without_a_champion_there_is_no_metric_of_flips(tmp_path):
    assert set(run(make(tmp_path, Plan(champion=None)))) == {
        "receipt/gain_over_none",
        "receipt/gain_over_hard",
    }


def test_the_same_outcomes_give_the_same_bytes(tmp_path):
    pages = []
    for name in ("a", "b"):
        job = make(tmp_path / name)
        run(job)
        pages.append([job.files.read_bytes(f"report/{file}") for file in step.writes])
    assert pages[0] == pages[1]


def test_a_step_that_runs_alone_needs_no_champion_file(tmp_path):
    job = make(tmp_path, Plan(champion=None))
    (tmp_path / ".stillhouse/champion/champion.json").unlink()
    run(job)
    assert json.loads(job.files.read_bytes("report/receipt.json"))["flips"]["against"] is None


def test_it_reads_only_what_it_declares(tmp_path):
    job = make(tmp_path)
    declared = {tmp_path / "artifacts" / name for name in (*BOUND, *CLOCKS)}
    for path in (tmp_path / "artifacts").rglob("*"):
        if path.is_file() and path not in declared:
            path.unlink()
    run(job)
    assert {p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()} == declared


@pytest.mark.parametrize(
    "section",
    [
        {"usd_per_hour": -1.0},
        {"usd_per_hours": 1.0},
        {"show_rows": "yes"},
        {"usd_per_hour": {"float": [0, 1]}},
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(section):
    check({"report": {"usd_per_hour": 0.4, "show_rows": True}})
    check({"report": None})
    with pytest.raises(SettingsError, match="report"):
        check({"report": section})
