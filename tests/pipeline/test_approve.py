"""Approval on a real registry: what waits is promoted as it was judged, or not at all."""

import itertools
from pathlib import Path

import pytest
from release.house import enroll, place, release, student

from stillhouse.errors import Refused, StaleHead, UsageError
from stillhouse.pipeline import Project
from stillhouse.pipeline.approve import approve
from stillhouse.release.aliases import set_challenger
from stillhouse.release.champion import champion_files
from stillhouse.release.promote import rollback
from stillhouse.steps import all as steps
from stillhouse.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
numbers = itertools.count()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all: making one costs seconds."""
    found = tmp_path_factory.mktemp("approval")
    (found / ".stillhouse").mkdir()
    return found


@pytest.fixture
def project(root: Path) -> Project:
    """Version 1 is champion; version 2 was judged over it and waits."""
    params = {"model": f"small-{next(numbers)}", "release": {"approval": True}}
    made = Project(Workspace(root), params, (), place(root), steps.load())
    release(root, made.model, student(1))
    judged_over, _ = champion_files(made.registry, "")
    waits = enroll(root, made.model, student(2, champion=judged_over))
    set_challenger(made.registry, waits)
    return made


def test_what_waits_is_promoted_and_a_second_yes_changes_nothing(project: Project):
    done = approve(project, 2, head=1)
    assert (done.outcome, done.version, done.replaces, done.exit_code) == ("promoted", 2, 1, 0)
    assert "challenger" not in project.registry.aliases()
    again = approve(project, 2, head=1)
    assert (again.outcome, again.exit_code) == ("unchanged", 0)
    assert project.registry.state().head == 2


def test_a_verdict_over_a_champion_that_is_gone_is_refused_with_both_heads(project: Project):
    root = project.workspace.root
    over, _ = champion_files(project.registry, "")
    release(root, project.model, student(3, champion=over), head=1)
    for head in (None, 1):
        with pytest.raises(StaleHead, match=r"version 3 \(head 2\) now; version 2 was judged"):
            approve(project, 2, head)
    assert project.registry.state().champion == 3


def test_asked_over_a_head_that_moved_there_and_back_it_is_refused_too(project: Project):
    root = project.workspace.root
    over, _ = champion_files(project.registry, "")
    release(root, project.model, student(3, champion=over), head=1)
    rollback(project.registry, 2)
    assert project.registry.state().champion == 1
    with pytest.raises(StaleHead, match="head 1"):
        approve(project, 2, head=1)
    assert approve(project, 2).outcome == "promoted"  # by hand: the verdict is over this champion


def test_what_does_not_wait_cannot_be_approved(project: Project):
    over, _ = champion_files(project.registry, "")
    other = enroll(project.workspace.root, project.model, student(4, champion=over))
    with pytest.raises(Refused, match=f"version {other} does not wait") as refused:
        approve(project, other)
    assert refused.value.exit_code == 3
    with pytest.raises(UsageError, match="no version 99"):
        approve(project, 99)
    assert project.registry.state().champion == 1
