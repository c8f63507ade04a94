"""Notifications of real runs over real ways, killed in the middle; and runs that cost too much."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flows.team import LITTLE
from flows.test_channels import mail, web
from integration.house import WARNINGS, House, project

from stillhouse_flows import databases, server

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return project(tmp_path_factory.mktemp("told") / "the house", LITTLE)


@pytest.fixture(scope="module")
def prefect(house: House) -> Iterator[str]:
    databases.seed(house.root)
    started = server.start(house.root)
    server.wait(started)
    yield started.url
    server.stop(started, house.root)


def kinds(got: list[Any]) -> list[tuple[str, int | None]]:
    said = [json.loads(body) for _, _, body in got]
    return [(one["kind"], one["version"]) for one in said]


def test_a_promotion_is_told_even_if_the_run_was_killed_before_it_could(house: House):
    with web() as (port, got), mail() as (smtp, told):
        env = {
            "STILLHOUSE_NOTIFY_WEBHOOK": f"http://127.0.0.1:{port}/hooks/c4nary-1",
            "STILLHOUSE_NOTIFY_EMAIL": f"smtp://ann:c4nary-2@127.0.0.1:{smtp}/?to=ops@example.org",
        }
        kill = {"STILLHOUSE_FAILPOINTS": "outbox.before_send=kill"}
        house.stillhouse("run", env={**env, **kill}, code=-9)
        assert (got, house.ledger().champion) == ([], 1)
        house.json("run", env=env)
        assert kinds(got) == [("promoted", 1)]
        house.json("run", env=env)
        assert kinds(got) == [("promoted", 1)]
        strict = "gate.rules=[{metric: test/accuracy, at_least: 0.999}]"
        rejected = house.json("run", "--set", strict, env=env, code=3)
        assert kinds(got)[1:] == [(rejected["outcome"], None)]
        house.stillhouse("run", "--set", "teacher.gate.at_least=1.0", env=env, code=None)
    assert len([line for line in told if line.startswith("Subject: digits: promoted")]) == 1
    left = [
        str(path)
        for path in house.root.rglob("*")
        if path.is_file() and b"c4nary" in path.read_bytes()
    ]
    assert left == []


def test_what_could_not_be_told_is_told_by_the_next_command(house: House):
    with web(503) as (port, _):
        env = {"STILLHOUSE_NOTIFY_WEBHOOK": f"http://127.0.0.1:{port}/"}
        done = house.json("notify", "--test", env=env, code=1)
    assert (done["channels"], len(done["waiting"])) == (["webhook"], 1)
    assert "answered 503" in done["waiting"][0]["trouble"]
    with web() as (port, got):
        env = {"STILLHOUSE_NOTIFY_WEBHOOK": f"http://127.0.0.1:{port}/"}
        assert house.json("notify", env=env) == {"channels": ["webhook"], "waiting": []}
    assert kinds(got) == [("test", None)]


def test_a_slack_block_of_prefect_is_reached(house: House, prefect: str):
    with web(200) as (port, got):
        # Slack's own address would leave the machine: the block takes any that apprise knows.
        save = (
            "from prefect.blocks.notifications import SlackWebhook\n"
            f"SlackWebhook(url='json://127.0.0.1:{port}/c4nary').save('ops', overwrite=True)"
        )
        env = {"PREFECT_API_URL": prefect, "PREFECT_HOME": str(house.home / "prefect")}
        done = house.do("python", "-c", save, env=env)
        assert done.code == 0, done.said
        env["STILLHOUSE_NOTIFY_BLOCK"] = "slack-webhook/ops"
        assert house.json("notify", "--test", env=env)["waiting"] == []
        [(_, _, body)] = got
        assert b"Stillhouse can reach you" in body
        env["STILLHOUSE_NOTIFY_BLOCK"] = "slack-webhook/nobody"
        left = house.json("notify", "--test", env=env, code=1)["waiting"]
        assert "the block did not take it" in left[0]["trouble"]


# --- a budget -----------------------------------------------------------------------------------


def test_a_run_that_costs_too_much_stops_before_the_step_that_would(house: House, prefect: str):
    env = {"PREFECT_API_URL": prefect}
    before = house.ledger().head
    again = ("--set", "teacher.epochs=61")
    hours = "budget.hours=0.0003"  # one second
    stopped = house.stillhouse("run", *again, "--set", hours, env=env, code=3)
    assert "does not fit into the budget" in stopped.said
    assert "in its last run here" in stopped.said
    free = house.stillhouse("run", *again, "--set", "budget.usd=1", env=env, code=2)
    assert "usd_per_hour" in free.said
    priced = ("--set", "report.usd_per_hour=3600", "--set", "budget.usd=1")  # a dollar a second
    assert "budget" in house.stillhouse("run", *again, *priced, env=env, code=3).said
    assert house.ledger().head == before
    enough = house.stillhouse("run", *again, "--set", "budget.hours=1", env=env, code=None)
    assert enough.code in (0, 3)
    assert "budget" not in enough.said  # positive control: it went through


def test_a_search_is_cut_to_what_fits_and_its_student_gated_but_not_promoted(
    house: House, prefect: str
):
    env = {"PREFECT_API_URL": prefect}
    house.json("run", env=env)
    head = house.ledger().head
    receipt = house.artifact("report/receipt.json")
    spent = receipt["cost"]["by_step"]
    trial = spent["tune"] / 3  # one of each arm
    rest = sum(spent[name] for name in ("distill", "export", "robustness")) + 3 * trial
    hours = (rest + 3 * 12 * trial) / 3600  # about ten trials an arm, where forty are asked for
    for factor in (1.0, 1.5, 2.2):  # a trial may take longer than it did, on a machine that is busy
        many = ("--set", "tune.trials=40", "--set", f"budget.hours={factor * hours:.6f}")
        cut = house.stillhouse("run", *many, env=env, code=3)
        if "trials was gated" in cut.said:
            break
    assert "trials was gated" in cut.said, cut.said
    made = len(house.artifact("tune/trials.json")["studies"]["student"]["trials"])
    assert f"best of {made} trials" in cut.said
    assert 1 <= made < 40
    assert house.artifact("gate/verdict.json")["verdict"] in ("promote", "hold", "reject")
    assert house.artifact("report/receipt.json")["settings"]["tune"]["trials"] == made
    assert house.ledger().head == head
    assert yaml.safe_load((house.root / "params.yaml").read_text())["tune"]["trials"] == 1


def test_an_unknown_key_of_the_budget_is_refused(house: House):
    refused = house.stillhouse("run", "--set", "budget.euros=3", code=2)
    assert "euros" in refused.said
    assert not (Path(house.root) / "artifacts" / "budget").exists()
