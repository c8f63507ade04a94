import os

import pytest

from stillhouse import environment
from stillhouse.errors import SettingsError


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    before, mask = dict(os.environ), os.umask(0o022)
    yield
    os.umask(mask)
    os.environ.clear()
    os.environ.update(before)
    import tempfile

    tempfile.tempdir = None


def test_everything_lies_in_the_workspace_by_default(tmp_path, monkeypatch):
    for name in (
        "MLFLOW_TRACKING_URI",
        "PREFECT_API_URL",
        "PREFECT_HOME",
        "XDG_CACHE_HOME",
        "MPLCONFIGDIR",
        "DVC_SITE_CACHE_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    place = environment.prepare(tmp_path)
    assert place.tracking_uri == f"sqlite:///{tmp_path}/.stillhouse/mlflow.db"
    for name in ("PREFECT_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "DVC_SITE_CACHE_DIR", "TMPDIR"):
        assert os.environ[name].startswith(str(tmp_path))
    assert (tmp_path / ".stillhouse" / "tmp").stat().st_mode & 0o077 == 0


def test_what_the_user_set_is_kept_and_a_dotenv_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / ".env").write_text(
        "# ours\nexport PREFECT_API_URL='http://127.0.0.1:4200/api'\nMLFLOW_TRACKING_URI=ignored\n"
    )
    place = environment.prepare(tmp_path)
    assert place.tracking_uri == "http://127.0.0.1:5000"
    assert place.prefect_url == "http://127.0.0.1:4200/api"
    assert place.artifact_root is None


def test_pickles_and_telemetry_are_off(tmp_path):
    environment.prepare(tmp_path)
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_a_token_is_not_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary-token")
    assert "canary-token" not in repr(environment.place(tmp_path))


@pytest.mark.parametrize("value", ["many", "0"])
def test_a_number_of_threads_that_cannot_be_meant_is_refused_by_its_variable(
    tmp_path, monkeypatch, value
):
    monkeypatch.setenv("STILLHOUSE_THREADS", value)
    with pytest.raises(SettingsError) as caught:
        environment.place(tmp_path)
    assert (caught.value.where, caught.value.exit_code) == ("STILLHOUSE_THREADS", 2)
    monkeypatch.setenv("STILLHOUSE_THREADS", "2")
    assert environment.place(tmp_path).threads == 2


@pytest.mark.parametrize("value", ["the fast one", "cuda:", "CUDA"])
def test_a_device_that_cannot_be_meant_is_refused_by_its_variable(tmp_path, monkeypatch, value):
    assert environment.place(tmp_path).device == "auto"
    monkeypatch.setenv("STILLHOUSE_DEVICE", value)
    with pytest.raises(SettingsError) as caught:
        environment.place(tmp_path)
    assert caught.value.where == "STILLHOUSE_DEVICE"
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:1")
    assert environment.place(tmp_path).device == "cuda:1"
