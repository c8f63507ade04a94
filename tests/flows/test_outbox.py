import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from stillhouse import failpoints
from stillhouse.clock import ManualClock
from stillhouse.workspace import Workspace
from stillhouse_flows import outbox
from stillhouse_flows.outbox import Entry, Message, NotDelivered

PROMOTED = Message("promoted", "digits", "head 1", "Version 1 is the champion.", 1)


@dataclass
class Post:
    """A channel that keeps what it got, and is shut while it is told so."""

    name: str = "post"
    shut: bool = False
    got: list[Entry] = field(default_factory=list)

    def send(self, entry: Entry) -> None:
        if self.shut:
            raise NotDelivered("shut; password=hunter2")
        self.got.append(entry)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Workspace:
    return Workspace(tmp_path, clock)


def test_what_is_written_down_is_sent_once_and_never_written_down_again(workspace: Workspace):
    post = Post()
    assert outbox.put(workspace, PROMOTED, {"post": post}) == 1
    assert outbox.put(workspace, PROMOTED, {"post": post}) == 0
    assert outbox.deliver(workspace, {"post": post}) == []
    assert outbox.put(workspace, PROMOTED, {"post": post}) == 0
    assert outbox.deliver(workspace, {"post": post}) == []
    [entry] = post.got
    assert entry.payload()["text"] == "Version 1 is the champion."


def test_another_head_is_another_message_and_each_channel_gets_its_own(workspace: Workspace):
    one, two = Post("one"), Post("two")
    ways = {"one": one, "two": two}
    assert outbox.put(workspace, PROMOTED, ways) == 2
    assert outbox.put(workspace, replace(PROMOTED, about="head 2"), ways) == 2
    assert outbox.deliver(workspace, ways) == []
    assert (len(one.got), len(two.got)) == (2, 2)
    assert len({entry.key for entry in one.got + two.got}) == 4


def test_a_shut_channel_is_tried_again_later_and_later_and_in_the_end_reached(
    workspace: Workspace, clock: ManualClock
):
    post, pauses = Post(shut=True), []
    outbox.put(workspace, PROMOTED, {"post": post})
    for _ in range(8):
        [entry] = outbox.deliver(workspace, {"post": post})
        due = outbox.datetime.fromisoformat(entry.due)
        pauses.append((due - clock.now()).total_seconds())
        clock.wall = due - timedelta(seconds=1)
        [early] = outbox.deliver(workspace, {"post": post})
        assert early == entry
        clock.wall = due
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    post.shut = False
    assert outbox.deliver(workspace, {"post": post}) == []
    assert len(post.got) == 1


def test_asked_to_send_now_it_does_not_wait_and_a_clock_that_jumped_back_holds_nothing_up(
    workspace: Workspace, clock: ManualClock
):
    post = Post(shut=True)
    outbox.put(workspace, PROMOTED, {"post": post})
    outbox.deliver(workspace, {"post": post})
    [entry] = outbox.deliver(workspace, {"post": post}, now=True)
    assert entry.tries == 2
    post.shut = False
    clock.wall -= timedelta(days=30)
    assert outbox.deliver(workspace, {"post": post}) == []


def test_trouble_and_text_hold_no_secret(workspace: Workspace):
    post = Post(shut=True)
    said = replace(PROMOTED, text="postgresql://ann:hunter2@db does not answer.")
    outbox.put(workspace, said, {"post": post})
    [entry] = outbox.deliver(workspace, {"post": post})
    kept = "".join(
        p.read_text() for p in (workspace.root / outbox.FOLDER).rglob("*") if p.is_file()
    )
    assert "hunter2" not in kept
    assert "does not answer" in kept
    assert entry.trouble.startswith("shut")


def test_a_channel_that_is_not_configured_any_more_keeps_its_messages(workspace: Workspace):
    outbox.put(workspace, PROMOTED, {"post": Post()})
    [entry] = outbox.deliver(workspace, {})
    assert "not configured" in entry.trouble
    post = Post()
    assert outbox.deliver(workspace, {"post": post}, now=True) == []
    assert len(post.got) == 1


def test_while_one_process_sends_another_leaves_it_to_it(workspace: Workspace):
    post = Post()
    outbox.put(workspace, PROMOTED, {"post": post})
    with Workspace(workspace.root / outbox.FOLDER).lock(holder="another"):
        [entry] = outbox.deliver(workspace, {"post": post})
        assert (entry.tries, post.got) == (0, [])
    assert outbox.deliver(workspace, {"post": post}) == []


SENDS = """
import sys
from pathlib import Path
from stillhouse import failpoints
from stillhouse.workspace import Workspace
from stillhouse_flows import outbox

class File:
    name = "post"
    def send(self, entry):
        path = Path(sys.argv[1]) / "received"
        path.mkdir(exist_ok=True)
        (path / f"{entry.key}.{len(list(path.iterdir()))}").touch()

failpoints.arm(sys.argv[2])
workspace = Workspace(Path(sys.argv[1]))
for head in range(3):
    outbox.put(workspace, outbox.Message("promoted", "m", f"head {head}", "It is."), {"post": 0})
sys.exit(len(outbox.deliver(workspace, {"post": File()})))
"""


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("outbox.before_send=kill@2", [1, 1, 1]),
        ("outbox.after_send=kill@2", [1, 1, 2]),
        ("workspace.before_replace=kill@2", [1, 1, 1]),
        ("workspace.before_replace=kill@4", [1, 1, 2]),
        ("workspace.after_replace=kill@4", [1, 1, 1]),
    ],
)
def test_a_kill_loses_nothing_and_repeats_at_most_what_was_on_its_way(
    tmp_path: Path, point: str, times: list[int]
):
    def send(points: str) -> int:
        env = {**os.environ, "PYTHONWARNINGS": "ignore"}
        return subprocess.run([sys.executable, "-c", SENDS, tmp_path, points], env=env).returncode

    assert send(point) == -signal.SIGKILL
    assert send("") == 0
    received = [path.name.partition(".")[0] for path in (tmp_path / "received").iterdir()]
    assert sorted(received.count(key) for key in set(received)) == times
    assert outbox.waiting(Workspace(tmp_path)) == []
    assert "outbox.before_send" in failpoints.DECLARED
