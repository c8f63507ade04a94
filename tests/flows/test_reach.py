"""Servers that are there, away, silent or hidden behind a gateway, asked on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse_flows import reach
from stillhouse_flows.server import free_port


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE", 0.3)
    monkeypatch.setattr(reach, "PAUSE", 0.05)
    monkeypatch.setattr(reach, "SECONDS", 0.2)


@contextmanager
def web(status: int) -> Iterator[str]:
    """Answer every question with one status; give the address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    made = HTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        made.server_close()


def asked(mlflow: str, prefect: str | None = None) -> reach.Probes:
    return reach.probes(Place(Path(), mlflow, None, prefect, None, 1))


def gone() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_answer_says_that_somebody_is_there(status: int) -> None:
    with web(status) as url:
        asked(url + "/", url + "/api").require("MLflow")
        asked(url + "/", url + "/api").require("Prefect's server")


def test_a_server_that_is_away_is_named_with_its_variable_and_the_other_one() -> None:
    mlflow, prefect = gone(), gone()
    with pytest.raises(ServerUnreachable, match=r"MLflow does not answer.*refused") as told:
        asked(mlflow, f"{prefect}/api").require("MLflow")
    said = str(told.value)
    assert mlflow in said
    assert f"Nor does Prefect's server at {prefect}/api." in said
    assert "MLFLOW_TRACKING_URI and PREFECT_API_URL" in said
    with web(200) as url:
        both = asked(url, f"{prefect}/api")
        both.require("MLflow")
        with pytest.raises(ServerUnreachable, match="Prefect's server does not answer"):
            both.require("Prefect's server")


def test_a_server_that_takes_the_question_and_never_answers_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ServerUnreachable, match="no answer came in time"):
            asked(f"http://127.0.0.1:{silent.getsockname()[1]}").require("MLflow")


def test_a_gateway_with_nobody_behind_it_is_nobody() -> None:
    with web(503) as url, pytest.raises(ServerUnreachable, match="its gateway says 503"):
        asked(url).require("MLflow")


def test_a_server_that_came_back_meanwhile_is_there() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        probe = reach.Probe(f"http://127.0.0.1:{taken.getsockname()[1]}", "MLFLOW_TRACKING_URI")
        probe.begin()
        assert probe.wait() != ""
    with web(200) as url:
        probe.server = url
        assert probe.wait() == ""


def test_a_file_and_a_server_of_our_own_are_not_asked() -> None:
    assert asked("sqlite:///x/mlflow.db").found == {}
    asked("sqlite:///x/mlflow.db").require("MLflow")


def test_a_password_in_an_address_is_neither_in_the_way_nor_told() -> None:
    with web(200) as url:
        asked(url.replace("//", "//ann:hunter2@")).require("MLflow")
    with pytest.raises(ServerUnreachable, match="refused") as told:
        asked(gone().replace("//", "//ann:hunter2@")).require("MLflow")
    assert "hunter2" not in str(told.value)
