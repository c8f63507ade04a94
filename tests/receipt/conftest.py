"""Receipts of a small project in every state, each made once; and Chromium, where the machine has
it.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from receipt.project import RULES, Plan, make

from stillhouse.steps import report
from stillhouse.steps.step import Job

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\">",
    "bi\u202edi\u0007\u2028{{ 7 * 7 }}",
    "<b>" + "x" * 300,
)
BOUND = {"metric": "test/accuracy", "at_least": 0.9999}
PLANS = {
    "promoted": Plan(),
    "held": Plan(
        champion=0.945,
        rules=(
            *RULES[:3],
            {"metric": "test/accuracy", "against": "champion", "margin": 0.0},
            *RULES[4:],
        ),
    ),
    "rejected": Plan(
        rules=(BOUND, {"metric": "robust/linf/accuracy", "at_least": 0.9}, *RULES[1:]),
        warnings=("Class 'ash' is rare.",),
    ),
    "first": Plan(champion=None),
    "alarmed": Plan(rules=(*RULES[:3], {"name": "collapse"}), alarm=True),
    "awaiting": Plan(sets={"release": {"approval": True}}),
    "bare": Plan(
        champion=None,
        attacks=False,
        corruptions=(),
        int8=False,
        controls=False,
        trials=0,
        rules=RULES[:1],
        usd_per_hour=0.0,
    ),
    "table": Plan(shape=(5,)),
    "colour": Plan(shape=(3, 80, 96)),
    "private": Plan(show_rows=False),
    "flawless": Plan(teacher=1.0, student=1.0, champion=1.0, hard=1.0, none=1.0, rules=RULES[:1]),
    "useless": Plan(student=0.84, none=0.84, hard=0.84, rules=RULES[:1]),
    "many": Plan(classes=tuple(f"a class called {i}" for i in range(30)), rows=300),
    "robust": Plan(
        plain=0.31,
        transfer={
            "selector": {"name": "teacher_correct"},
            "share": 0.9,
            "by_class": [
                {"class": "birch", "rows": 60, "share": 0.75},
                {"class": "ash", "rows": 140, "share": 1.0},
            ],
            "none": list(range(100, 130)),
            "nothing": 30,
        },
    ),
    "unknown": Plan(unlabelled=30),
    "hostile": Plan(
        classes=HOSTILE,
        model="</title><script>document.title='owned'</script>",
        warnings=("<script>alert(1)</script>",),
    ),
}


@dataclass(frozen=True)
class Made:
    """A finished report."""

    job: Job
    metrics: dict[str, float]
    receipt: dict[str, Any]
    page: str


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    done: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in done:
            job = make(tmp_path_factory.mktemp(name), PLANS[name])
            metrics = report.run(job)
            done[name] = Made(
                job,
                metrics,
                json.loads(job.files.read_bytes("report/receipt.json")),
                job.files.read_bytes("report/receipt.html").decode(),
            )
        return done[name]

    return get


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser: the one that STILLHOUSE_CHROMIUM names, or the first in PATH."""
    named = os.environ.get("STILLHOUSE_CHROMIUM")
    found = named or next(
        (
            p
            for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
            if (p := shutil.which(name))
        ),
        None,
    )
    if found is None or not Path(found).exists():
        reason = "no Chromium in STILLHOUSE_CHROMIUM or PATH"
        if os.environ.get("STILLHOUSE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, headless=True, args=quiet)
        yield browser
        browser.close()
