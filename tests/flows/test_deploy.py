"""What `stillhouse deploy` asks for and refuses; that it works is seen in test_scheduled, a story."""

from pathlib import Path
from string import Template
from typing import Any
from uuid import uuid4

import pytest
import yaml

from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable, SettingsError, UsageError
from stillhouse_flows import deploy, init

FILE = Path(__file__).parents[2] / "prefect.yaml"


def place(root: Path, url: str | None = None) -> Place:
    return Place(root, "sqlite://", None, url, None, 1)


def test_a_new_project_gets_the_same_file_as_ours():
    assert Template((init.TEMPLATES / "prefect.yaml").read_text()).substitute() == FILE.read_text()


def test_both_flows_are_deployed_one_run_at_a_time_with_heartbeats():
    found = {d["entrypoint"]: d for d in yaml.safe_load(FILE.read_text())["deployments"]}
    assert set(found) == {"stillhouse_flows.retrain.retrain", "stillhouse_flows.monitor.monitor"}
    for one in found.values():
        assert one["concurrency_limit"]["limit"] == 1
        env = one["work_pool"]["job_variables"]["env"]
        assert 3 * int(env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) <= deploy.SILENCE.seconds


def test_an_event_hands_nothing_to_the_run_and_fires_at_most_once_in_minutes():
    retrain, _ = yaml.safe_load(FILE.read_text())["deployments"]
    [trigger] = retrain["triggers"]
    assert "parameters" not in trigger
    assert trigger["within"] >= 300


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (None, UsageError, "no prefect.yaml"),
        ("deployments: [", SettingsError, "no YAML"),
        ("deployments: []", UsageError, "deploys nothing"),
        ("deployments: [{name: a}]", UsageError, "deploys nothing"),
        ("", UsageError, "deploys nothing"),
    ],
)
def test_a_file_that_deploys_nothing_is_refused(
    tmp_path: Path, text: str | None, error: type[Exception], says: str
):
    if text is not None:
        (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(error, match=says):
        deploy.pools_of(tmp_path)


def test_pools_are_named_once_in_order(tmp_path: Path):
    pools = [{"work_pool": {"name": name}} for name in ("b", "a", "b")]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"deployments": pools}))
    assert deploy.pools_of(tmp_path) == ["b", "a"]


def test_without_a_standing_server_it_says_which_would_do(tmp_path: Path):
    with pytest.raises(UsageError, match="stillhouse ui"):
        deploy.standing(place(tmp_path))
    assert deploy.standing(place(tmp_path, "http://prefect/api")) == "http://prefect/api"


def test_a_server_that_does_not_answer_is_told(tmp_path: Path):
    (tmp_path / "prefect.yaml").write_text(FILE.read_text())
    with pytest.raises(ServerUnreachable, match="does not answer"):
        deploy.deploy(place(tmp_path, "http://127.0.0.1:9/api"), "digits")


def test_the_watch_is_over_one_deployment_and_any_sign_of_life_ends_it():
    deployment = uuid4()
    wanted: Any = deploy.watch(deployment, "retrain/digits").model_dump(mode="json")
    assert wanted["owner_resource"] == f"prefect.deployment.{deployment}"
    assert wanted["trigger"]["posture"] == "Proactive"
    assert wanted["trigger"]["expect"] == ["prefect.flow-run.*"]
    assert wanted["trigger"]["match_related"]["prefect.resource.id"] == (
        f"prefect.deployment.{deployment}"
    )
    assert [action["state"] for action in wanted["actions"]] == ["CRASHED"]
