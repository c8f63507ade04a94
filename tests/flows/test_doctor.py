from pathlib import Path
from typing import Any

import pytest
from integration.house import WARNINGS, House, project

from stillhouse import environment
from stillhouse_flows import databases, doctor

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings(*WARNINGS)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = project(tmp_path_factory.mktemp("doctor") / "a patient", {})
    databases.seed(made.root)
    return made


def examined(root: Path) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in doctor.examine(environment.place(root))}


def test_a_clean_project_is_well(house: House):
    checks = examined(house.root)
    assert set(checks) == {
        "python",
        "packages",
        "disk",
        "workspace",
        "settings",
        "dvc",
        "mlflow",
        "ledger",
        "prefect",
    }
    assert [check for check in checks.values() if not check["ok"] or check["fix"]] == []
    assert not (house.root / ".stillhouse" / "doctor").exists()


def test_settings_that_cannot_be_meant_are_found_with_their_fix(house: House):
    path = house.root / "params.yaml"
    kept = path.read_text()
    path.write_text(kept.replace("distill:", "distil:"))
    try:
        check = examined(house.root)["settings"]
    finally:
        path.write_text(kept)
    assert not check["ok"]
    assert "'distill'" in check["fix"]


def test_a_torn_lock_of_dvc_is_found_with_its_fix(house: House):
    torn = house.root / ".dvc" / "tmp" / "rwlock"
    torn.parent.mkdir(exist_ok=True)
    torn.write_text('{"artifacts": {"wri')
    try:
        check = examined(house.root)["dvc"]
    finally:
        torn.unlink()
    assert (check["ok"], ".dvc/tmp/rwlock" in check["fix"]) == (False, True)


def test_a_folder_without_dvc_is_found_with_its_fix(tmp_path: Path):
    databases.seed(tmp_path)
    check = examined(tmp_path)["dvc"]
    assert (check["ok"], "dvc init" in check["fix"]) == (False, True)


def test_a_server_that_does_not_answer_is_found(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    check = examined(house.root)["prefect"]
    assert (check["ok"], "PREFECT_API_URL" in check["fix"]) == (False, True)
