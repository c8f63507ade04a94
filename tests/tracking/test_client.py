import threading
import time
from pathlib import Path

import pytest

from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse.tracking import Tracker, warm
from stillhouse.tracking.client import Missing, call, client
from stillhouse.workspace import Workspace


def test_warming_in_a_thread_makes_the_database_inside_the_workspace_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "with a space"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    place = Place(
        root,
        f"sqlite:///{root / '.stillhouse' / 'mlflow.db'}",
        root / ".stillhouse" / "mlartifacts",
        None,
        None,
        1,
    )
    thread = threading.Thread(target=warm, args=(place,))
    thread.start()
    thread.join(60)
    assert (root / ".stillhouse" / "mlflow.db").is_file()
    assert list(elsewhere.iterdir()) == []
    assert capfd.readouterr().out == ""


def test_what_is_missing_is_told_from_what_does_not_answer(place: Place) -> None:
    mlflow = client(place)
    with pytest.raises(Missing):
        call(lambda: mlflow.get_registered_model("nobody"), place)
    away = Place(place.root, "http://ann:hunter2@127.0.0.1:1", None, None, None, 1)
    with pytest.raises(ServerUnreachable) as told:
        warm(away)
    assert "hunter2" not in str(told.value)


def test_a_server_that_refuses_is_an_error_within_seconds(place: Place) -> None:
    away = Place(place.root, "http://127.0.0.1:1", None, None, None, 1)
    start = time.perf_counter()
    with pytest.raises(ServerUnreachable) as told:
        Tracker.open(away, Workspace(place.root), "digits", "key")
    assert time.perf_counter() - start < 20
    assert told.value.may_pass
    assert told.value.exit_code == 1
