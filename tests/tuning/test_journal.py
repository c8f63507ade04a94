import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.errors import Busy, Corrupt
from stillhouse.tuning import journal


def test_a_torn_tail_is_cut_and_whole_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / journal.JOURNAL
    whole = b'{"a":1}\n{"b":2}\n'
    for torn in (b'{"c', b'{"c":3}', b'{"c":\n', b"\x00\x00"):
        path.write_bytes(whole + torn)
        assert journal.repair(path) == len(torn)
        assert path.read_bytes() == whole
    assert journal.repair(path) == 0
    assert journal.repair(tmp_path / "missing") == 0


def test_a_broken_line_inside_is_no_work_of_a_kill_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / journal.JOURNAL
    path.write_bytes(b'{"a":1}\n{"b\n{"c":3}\n')
    with pytest.raises(Corrupt, match="line 2"):
        journal.repair(path)


def test_a_study_opens_again_after_its_tail_was_torn(tmp_path: Path) -> None:
    with journal.held(tmp_path):
        journal.open_study(tmp_path, "s", ["maximize"]).set_user_attr("kept", 1)
    with (tmp_path / journal.JOURNAL).open("ab") as file:
        file.write(b'{"op_code":2,"worker')
    with journal.held(tmp_path):
        study = journal.open_study(tmp_path, "s", ["maximize"])
        study.set_user_attr("more", 2)
        assert study.user_attrs == {"kept": 1, "more": 2}


def test_a_folder_has_one_holder_and_is_free_when_it_ends(tmp_path: Path) -> None:
    with (
        journal.held(tmp_path),
        pytest.raises(Busy, match="another process"),
        journal.held(tmp_path),
    ):
        pass
    with journal.held(tmp_path):
        pass


def test_an_owner_is_alive_only_as_the_very_process_that_it_was() -> None:
    me = journal.Owner.of(os.getpid())
    assert journal.Owner.parse(str(me)) == me
    assert me.alive
    assert not journal.Owner(me.pid, me.born - 1, me.token).alive, (
        "the number was given to a younger process"
    )
    gone = subprocess.Popen([sys.executable, "-c", ""])
    born = journal.Owner.of(gone.pid)
    gone.wait()
    assert not born.alive
    assert journal.Owner.of(os.getpid()) != me, "two studies in one process are two owners"
