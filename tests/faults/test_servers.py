"""`stillhouse run` on a team's servers, MLflow and Prefect on PostgreSQL, which are lost at the start
and in the middle, slow, and wrong.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from faults.tally import TALLY
from integration.house import Done, states
from servers.fixtures import database, mlflow, prefect
from servers.postgres import Postgres
from servers.proxy import Fault, Kind
from servers.standing import Standing
from servers.team import Team, team

__all__ = ["database", "mlflow", "prefect"]
pytestmark = pytest.mark.faults
START = 60.0  # seconds within which a run says that a server is not there
CHILDREN = [f"{arm}/{what}" for arm in ("hard", "none", "student") for what in ("arm", "trial-0")]


@pytest.fixture
def house(
    request: pytest.FixtureRequest, tmp_path: Path, mlflow: Standing, prefect: Standing
) -> Iterator[Team]:
    name = f"team-{crc32(request.node.name.encode())}"
    made = team(tmp_path / "a project", name, (mlflow, prefect))
    yield made
    made.mlflow.quiet()
    made.mlflow.close()
    made.prefect.cut()


def once(made: Team, nth: int, path: str, act: Callable[[], None]) -> None:
    """Act beside the nth request for a path.

    The thread stays when it has acted: a server that it started would end with it (pdeathsig).
    """
    seen = []

    def acts() -> None:
        act()
        threading.Event().wait()

    def watch(method: str, asked: str) -> None:
        if path in asked:
            seen.append(asked)
            if len(seen) == nth:
                threading.Thread(target=acts, daemon=True).start()

    made.mlflow.watch = watch


def whole(made: Team, done: Done, *, version: int = 1) -> None:
    """The run promoted, and everything was told once."""
    assert done.code == 0, done.err[-3000:]
    assert json.loads(done.out)["version"] == version
    state = made.registry.state()
    assert (state.champion, len(state.effective), len(made.registry.versions())) == (version, 1, 1)
    assert TALLY.held("I13", made.told()) == []
    assert made.children() == CHILDREN
    TALLY.recoveries += 1


def timed(run: Callable[[], Done]) -> tuple[Done, float]:
    began = time.monotonic()
    return run(), time.monotonic() - began


def test_a_team_s_servers_hold_the_same_flow_and_the_second_run_finds_nothing_to_do(
    house: Team,
) -> None:
    whole(house, house.run())
    again = json.loads(house.run().out)
    assert (again["outcome"], set(states(again).values())) == ("unchanged", {"unchanged"})
    status = house.house.json("status", env=house.env)
    assert (status["aliases_agree"], status["problems"], status["stale"]) == (True, [], [])
    assert not (house.house.root / ".stillhouse" / "mlflow.db").exists()


def test_a_server_that_is_not_there_at_the_start_is_told_within_a_minute(house: Team) -> None:
    house.mlflow.close()
    done, seconds = timed(lambda: house.run(code=1))
    assert "MLflow does not answer" in done.said
    assert seconds < START
    house.mlflow.open()
    house.mlflow.silent = True
    done, seconds = timed(lambda: house.run(code=1))
    house.mlflow.silent = False
    assert "MLflow does not answer" in done.said
    assert seconds < START
    house.prefect.cut()
    done, seconds = timed(lambda: house.run(code=1))
    house.prefect.open()
    assert "Prefect's server" in done.said
    assert seconds < START
    assert "Traceback" not in done.err
    TALLY.fault("server away at the start", count=3)
    whole(house, house.run())


def test_mlflow_that_goes_and_comes_back_in_the_middle_is_told_everything_once(
    house: Team,
) -> None:
    def gone() -> None:
        house.mlflow.close()
        time.sleep(8)
        house.mlflow.open()

    once(house, 4, "runs/log-batch", gone)
    whole(house, house.run())
    TALLY.fault("server lost and back")


def test_mlflow_that_goes_in_the_middle_and_stays_away_ends_the_run_and_the_next_goes_on(
    house: Team,
) -> None:
    once(house, 4, "runs/log-batch", house.mlflow.close)
    done, seconds = timed(lambda: house.run(code=1))
    assert "MLflow does not answer" in done.said
    assert "Traceback" not in done.err
    assert seconds < 240
    assert list((house.house.root / ".stillhouse/spool").glob("*.jsonl")), "nothing was kept"
    house.mlflow.open()
    whole(house, house.run())
    TALLY.fault("server lost")


def test_prefect_that_goes_in_the_middle_does_not_stop_the_work_or_the_truth(house: Team) -> None:
    once(house, 4, "runs/log-batch", house.prefect.cut)
    done, seconds = timed(lambda: house.run(code=None))
    assert "Traceback" not in done.err
    assert seconds < 240
    assert ("Prefect went away" if done.code == 0 else "Prefect") in done.said
    if done.code == 0:
        whole(house, done)
    house.prefect.open()
    if done.code != 0:
        whole(house, house.run())
    assert json.loads(house.run().out)["outcome"] == "unchanged"
    TALLY.fault("server lost")


WRONG: tuple[tuple[Kind, int], ...] = (
    ("error_before", 7),
    ("unavailable_after", 9),
    ("half", 8),
    ("drop_after", 6),
)


def test_answers_that_are_slow_wrong_or_cut_change_nothing(house: Team) -> None:
    for kind, every in WRONG:
        struck = frozenset(range(every, 2000, 5 * every))
        house.mlflow.faults.append(Fault(kind, "api/2.0|mlflow-artifacts", struck))
    slow = frozenset(range(5, 2000, 40))
    house.mlflow.faults.append(Fault("delay", "api/2.0", slow, seconds=2))
    done = house.run(code=None)
    for _ in range(3):  # a fault may end a run clearly; the same command goes on
        if done.code == 0:
            break
        assert "Traceback" not in done.err
        done = house.run(code=None)
    house.mlflow.quiet()
    whole(house, done if done.code == 0 else house.run())
    for kind, count in house.mlflow.struck.items():
        TALLY.fault(f"network {kind}", count=count)
    assert sum(house.mlflow.struck.values()) >= 10, dict(house.mlflow.struck)


def test_postgresql_restarted_in_the_middle_is_survived(house: Team, database: Postgres) -> None:
    once(house, 4, "runs/log-batch", database.restart)
    done = house.run(code=None)
    if done.code != 0:
        assert "Traceback" not in done.err
        done = house.run()
    whole(house, done)
    TALLY.fault("postgresql restarted")


def theirs(made: Team) -> int:
    """Register a model as somebody without Stillhouse does, and call it champion."""
    import mlflow as api
    import mlflow.onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10]),
    ]
    graph = helper.make_graph(
        nodes, "theirs", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    client = api.MlflowClient()
    with api.start_run(experiment_id=client.create_experiment("their own")):
        logged = api.onnx.log_model(
            model, name="theirs", pip_requirements=["onnxruntime"], save_as_external_data=False
        )
    version = api.register_model(logged.model_uri, made.model)
    client.set_registered_model_alias(made.model, "champion", version.version)
    return int(version.version)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_registry_that_exists_is_adopted_and_then_has_to_be_beaten(
    house: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    # not set_tracking_uri: it would lead every later test of this process to a server that is gone
    monkeypatch.setenv("MLFLOW_TRACKING_URI", house.mlflow.url)
    number = theirs(house)
    refused = house.run(code=3)
    assert f"stillhouse adopt {number}" in refused.said
    status = house.house.json("status", env=house.env)
    assert [f"stillhouse adopt {number}" in sentence for sentence in status["problems"]] == [True]
    assert house.registry.aliases()["champion"] == number, "nothing was touched"
    told = house.house.json("adopt", number, env=house.env)
    assert (told["outcome"], told["version"]) == ("promoted", number + 1)
    assert house.house.json("adopt", number, env=house.env)["version"] == number + 1
    assert len(house.registry.entries()) == 1, "adopting twice adds nothing"
    again = house.run()
    assert json.loads(again.out)["version"] == number + 2
    state = house.registry.state()
    assert [e.link.kind for e in state.effective] == ["adopt", "promote"]
    assert house.house.json("status", env=house.env)["problems"] == []
    house.house.stillhouse("rollback", "--from", state.head, env=house.env)
    assert house.registry.state().champion == number + 1, "the adopted one can be gone back to"
