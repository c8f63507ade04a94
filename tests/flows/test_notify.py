"""What is told of a retrain, and when; the ways are in test_channels, the outbox in test_outbox."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stillhouse.clock import ManualClock
from stillhouse.errors import OverBudget, ServerUnreachable
from stillhouse.pipeline.publish import Published
from stillhouse.workspace import Workspace
from stillhouse_flows import channels, notify
from stillhouse_flows.outbox import Entry


@dataclass
class Post:
    name: str = "post"
    got: list[Entry] = field(default_factory=list)

    def send(self, entry: Entry) -> None:
        self.got.append(entry)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(entry.message.kind, entry.message.text) for entry in self.got]


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    made = Post()
    monkeypatch.setattr(channels, "configured", lambda: {"post": made})
    return made


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """As much of a project as is told about: a workspace, and a ledger at head 4."""
    (tmp_path / "artifacts" / "gate").mkdir(parents=True)
    (tmp_path / "artifacts" / "gate" / "verdict.json").write_text("{}")
    registry = SimpleNamespace(state=lambda: SimpleNamespace(head=4))
    return SimpleNamespace(
        model="digits", workspace=Workspace(tmp_path, ManualClock()), registry=registry
    )


def telling(project: Any) -> Any:
    return notify.telling(project.workspace, project.model, lambda sentence: None)


def end(project: Any, outcome: Any, version: int | None, sentence: str) -> None:
    with telling(project) as ended:
        ended(project, Published(outcome, "digits", version, None, sentence))


def test_a_promotion_is_told_once_by_whichever_run_comes_to_tell_it(project: Any, post: Post):
    end(project, "unchanged", 2, "Version 2 is this student already.")  # after a kill: told late
    end(project, "promoted", 2, "Version 2 is the champion.")
    end(project, "unchanged", 2, "Version 2 is this student already.")
    assert [kind for kind, _ in post.said] == ["promoted"]


def test_a_student_that_waits_or_did_not_pass_is_told_once(project: Any, post: Post):
    for _ in range(2):
        end(project, "held", 3, "Version 3 passed and waits for approval.")
        end(project, "rejected", None, "The gate said reject.")
    assert [kind for kind, _ in post.said] == ["waiting", "rejected"]


def test_a_failure_is_told_once_a_day_and_still_raised(project: Any, post: Post):
    def fail(error: Exception) -> None:
        with pytest.raises(type(error)), telling(project):
            raise error

    for _ in range(2):
        fail(ServerUnreachable("MLflow does not answer at http://ann:hunter2@mlflow."))
    fail(OverBudget("'tune' does not fit."))
    fail(ZeroDivisionError("3 / 0"))
    assert [kind for kind, _ in post.said] == ["failed", "refused", "failed"]
    assert "hunter2" not in str(post.said)
    assert "ZeroDivisionError" in post.said[-1][1]
    project.workspace.clock.wall = project.workspace.clock.wall.replace(day=2)
    fail(OverBudget("'tune' does not fit."))
    assert len(post.got) == 4


def test_stopped_by_a_person_nobody_is_told(project: Any, post: Post):
    with pytest.raises(KeyboardInterrupt), telling(project):
        raise KeyboardInterrupt
    assert post.got == []


def test_without_a_channel_nothing_is_written(project: Any, tmp_path: Path):
    with pytest.raises(OverBudget), telling(project):
        raise OverBudget("'tune' does not fit.")
    end(project, "promoted", 1, "Version 1 is the champion.")
    assert not (tmp_path / ".stillhouse").exists()
