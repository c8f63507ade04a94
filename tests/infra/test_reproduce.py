"""A version is made again from what its receipt names; what differs is named."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.house import LESS, REPOSITORY, WARNINGS, House, merged, project

pytestmark = [
    pytest.mark.stories,
    *(pytest.mark.filterwarnings(warning) for warning in WARNINGS),
]
CHANGES = {
    "plugins": ["my_student.py"],
    "prepare": {"source": {"name": "npz", "path": "rows.npz"}},
    "distill": {"student": {"name": "wide_then_narrow"}, "seeds": 2},
    "tune": {"trials": 1},
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Version 1 from a clean commit, version 2 with a change of code that nobody committed.

    The rows are DVC's, and of all caches only the remote still has them.
    """
    place = tmp_path_factory.mktemp("time travel")
    student = REPOSITORY / "docs" / "examples" / "my_student.py"
    house = project(place / "a project", merged(LESS, CHANGES), files=[student])
    rows(house.root / "rows.npz")
    house.dvc("add", "-q", "rows.npz")
    house.dvc("remote", "add", "-q", "-d", "team", "../the remote")
    house.commit("Rows and remote")
    assert house.json("run")["version"] == 1
    house.commit("The first student")
    house.dvc("push", "-q")
    code = house.root / "my_student.py"
    code.write_text(code.read_text().replace("narrow: int = 16", "narrow: int = 20"))
    assert house.json("run")["version"] == 2
    shutil.rmtree(house.root / ".dvc" / "cache" / "files")
    return house


def rows(path: Path) -> None:
    import numpy as np
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images / 16).astype(np.float32)[:, None]  # [N, 1, 8, 8]
    np.savez(path, inputs=images, targets=found.target.astype(np.int64))


def seen(house: House) -> object:
    """Everything that making a version again could have changed."""
    registry = house.registry()
    return (
        registry.entries(),
        registry.versions(),
        registry.aliases(),
        house.git("status", "--porcelain"),
        house.git("worktree", "list"),
        house.hashes(),
        (house.root / "params.yaml").read_bytes(),
        (house.root / "dvc.lock").read_bytes(),
    )


def test_a_version_is_made_again_bit_by_bit_and_nothing_is_registered(house: House):
    before = seen(house)
    told = house.json("reproduce", 1)
    assert told["differences"] == []
    assert (told["same"], told["committed"], told["causes"]) == (True, True, [])
    assert told["fingerprint"]["then"] == told["fingerprint"]["now"]
    assert told["values"] > 300
    assert told["folder"] is None
    assert list((house.root / ".stillhouse" / "reproduce").iterdir()) == []
    assert seen(house) == before


def test_code_that_was_never_committed_is_found_out_and_every_difference_named(house: House):
    told = house.json("reproduce", 2, code=3)
    assert (told["same"], told["committed"]) == (False, False)
    assert told["fingerprint"]["then"] != told["fingerprint"]["now"]
    differing = {d["name"]: (d["then"], d["now"]) for d in told["differences"]}
    then, now = differing["student.parameters"]
    assert then > now > 0
    assert "lineage.code" in {d["name"] for d in told["causes"]}
    assert Path(told["folder"]).is_dir()


def test_the_drill_and_the_history_agree_with_the_ledger(house: House):
    head = house.json("status")["ledger"]["head"]
    drilled = house.json("drill")
    assert (drilled["head"], drilled["champion"], drilled["previous"]) == (head, 2, 1)
    assert drilled["max_error"] < 1e-4
    told = house.json("history")["champions"]
    assert [(r["version"], r["replaces"], r["command"]) for r in told] == [
        (1, None, "stillhouse run"),
        (2, 1, "stillhouse run"),
    ]
    assert house.json("rollback", "--from", drilled["head"])["champion"]["version"] == 1


def test_a_version_that_is_not_there_is_refused(house: House):
    assert "there is no version 9" in house.stillhouse("reproduce", 9, code=2).said
