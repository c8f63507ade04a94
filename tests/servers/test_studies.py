"""Optuna's studies in PostgreSQL: no trial lost, none counted twice, the same ones as in a file."""

import dataclasses
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import SecretStr
from servers.postgres import Postgres
from tuning.problems import Ledger, bowl

from stillhouse.errors import Busy, SettingsError
from stillhouse.tuning import database as databases
from stillhouse.tuning.plan import Only
from stillhouse.tuning.study import Plan, search
from stillhouse.tuning.workers import Pool

TESTS = Path(__file__).parent.parent
SPACE = {"width": IntDistribution(1, 9), "x": FloatDistribution(0, 10)}
PLAN = Plan("student", SPACE, 6, 1, ("val/accuracy",), "key")
SLOW = (
    "import sys, time\nfrom pathlib import Path\nfrom pydantic import SecretStr\n"
    "from servers.test_studies import PLAN\nfrom tuning.problems import Ledger\n"
    "from stillhouse.tuning.study import search\n"
    "ran = Ledger(Path(sys.argv[2]))\n"
    "def slow(params):\n    found = ran(params)\n    time.sleep(0.5)\n    return found\n"
    "search(PLAN, slow, Path(sys.argv[3]), studies=SecretStr(sys.argv[1]))\n"
)


@pytest.fixture(scope="module")
def studies(database: Postgres) -> SecretStr:
    """As a team writes it; the driver is ours to name."""
    database.create("studies")
    return SecretStr(database.address("studies"))


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    return dataclasses.replace(PLAN, key=request.node.name)


def trials(database: Postgres, name: str) -> list[tuple[object, ...]]:
    """Number and state of each trial, past everybody's code."""
    return database.ask(
        "studies",
        "select t.number, t.state::text from trials t join studies s using (study_id) "
        f"where s.study_name = '{name}' order by 1",
    )


def test_a_study_in_postgresql_has_the_trials_of_one_in_a_file_and_is_found_again(
    studies: SecretStr, database: Postgres, plan: Plan, tmp_path: Path
) -> None:
    found = search(plan, bowl, tmp_path / "a", studies=studies)
    assert found == search(plan, bowl, tmp_path / "b")
    ran = Ledger(tmp_path / "ran")
    ran.folder.mkdir()
    assert search(plan, ran, tmp_path / "another clone", studies=studies) == found
    assert ran.runs() == []
    told = trials(database, f"student-{plan.key}")
    assert told == [(number, "COMPLETE") for number in range(6)]


def test_of_four_workers_ten_are_killed_and_no_trial_is_lost_or_counted_twice(
    studies: SecretStr, database: Postgres, plan: Plan, tmp_path: Path
) -> None:
    plan = dataclasses.replace(plan, trials=20, together=4)
    ran = Ledger(tmp_path / "ran", deaths=1, mortal_above=3.5)
    ran.folder.mkdir()
    with Pool(4) as pool:
        found = search(plan, ran, tmp_path / "a", crew=Only(pool), studies=studies)
    mortal = [trial.number for trial in found.trials if trial.params["x"] > 3.5]
    assert len(mortal) >= 10, "too few were killed to tell"
    times = Counter(ran.runs())
    assert [times[repr(t.params["x"])] for t in found.trials] == [
        2 if t.number in mortal else 1 for t in found.trials
    ]
    assert trials(database, f"student-{plan.key}") == [(n, "COMPLETE") for n in range(20)]
    assert found == search(plan, bowl, tmp_path / "b"), "as if nobody had died"


@pytest.fixture
def other(studies: SecretStr, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that works on PLAN's study, on its third trial or so."""
    (tmp_path / "ran").mkdir()
    words = [studies.get_secret_value(), str(tmp_path / "ran"), str(tmp_path / "its folder")]
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *words], env={**os.environ, "PYTHONPATH": path}
    )
    until = time.monotonic() + 60
    while len(list((tmp_path / "ran").iterdir())) < 3 and time.monotonic() < until:
        assert process.poll() is None, "it ended"
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


def test_a_study_has_one_writer_who_is_named_and_a_killed_one_s_trial_is_run_again_once(
    studies: SecretStr,
    database: Postgres,
    other: "subprocess.Popen[bytes]",
    tmp_path: Path,
) -> None:
    with pytest.raises(Busy, match=f":{other.pid} works on this study"):
        search(PLAN, bowl, tmp_path / "mine", studies=studies)
    other.kill()
    other.wait()
    until = time.monotonic() + 10
    while database.ask("studies", "select 1 from pg_locks where locktype = 'advisory'"):
        assert time.monotonic() < until, "the claim outlives its owner"
        time.sleep(0.05)
    ran = Ledger(tmp_path / "ran")
    found = search(PLAN, ran, tmp_path / "mine", studies=studies)
    assert found == search(PLAN, bowl, tmp_path / "a file")
    times = Counter(ran.runs())
    assert len(times) == 6
    assert sorted(times.values())[:5] == [1] * 5
    assert sum(times.values()) <= 7, "only the trial that was cut short runs twice"


def test_postgresql_restarted_in_the_middle_is_waited_for_and_the_same_trials_come(
    studies: SecretStr, database: Postgres, plan: Plan, tmp_path: Path
) -> None:
    ran = Ledger(tmp_path / "ran")
    ran.folder.mkdir()

    def fragile(params: "dict[str, object]") -> "dict[str, float]":
        answer = ran(params)
        if len(ran.runs()) in (2, 4):
            database.restart()
        return answer

    found = search(plan, fragile, tmp_path / "a", studies=studies)  # type: ignore[arg-type]
    assert found == search(plan, bowl, tmp_path / "b")
    assert len(ran.runs()) == 6
    assert trials(database, f"student-{plan.key}") == [(n, "COMPLETE") for n in range(6)]


def test_another_kind_of_database_is_refused_by_name() -> None:
    for wrong in ("mysql://ann:hunter2@host/x", "no url at all"):
        with pytest.raises(SettingsError, match=r"taken|no URL") as refused:
            databases.address(SecretStr(wrong))
        assert "hunter2" not in str(refused.value)
    assert databases.address(SecretStr("postgresql://h/x")).drivername == "postgresql+psycopg"
