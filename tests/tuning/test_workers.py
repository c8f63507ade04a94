import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tuning.problems import Ledger, Seated, all_fail, bowl, dies_below_zero, misused, task

from stillhouse.errors import SettingsError
from stillhouse.tuning.workers import Died, Done, Here, Pool

TESTS = Path(__file__).parent.parent


def test_answers_come_in_the_order_of_the_tasks() -> None:
    tasks = [task(float(x)) for x in range(5)]
    with Pool(2) as pool:
        assert (
            pool.run(bowl, tasks) == [Done(bowl(each)) for each in tasks] == Here().run(bowl, tasks)
        )
        assert pool.run(all_fail, tasks[:1]) == [
            Done(None, "the loss of rows 4, 7 is not a number.")
        ]


def test_a_loss_that_is_no_number_is_an_answer_and_a_wrong_setting_an_error() -> None:
    assert Here().run(all_fail, [task(0.0)]) == [
        Done(None, "the loss of rows 4, 7 is not a number.")
    ]
    with pytest.raises(SettingsError, match=r"distill\.student: the width"), Pool(1) as pool:
        pool.run(misused, [task(0.0)])


def test_a_worker_that_is_killed_is_replaced_and_its_task_comes_back_as_died(
    tmp_path: Path,
) -> None:
    mortal = Ledger(tmp_path, deaths=1, mortal_above=5)
    with Pool(1) as pool:
        first, second = pool.run(mortal, [task(9.0), task(1.0)])
        assert isinstance(first, Died)
        assert "-9" in first.message
        assert second == Done(bowl(task(1.0)))
        assert pool.run(mortal, [task(9.0)]) == [Done(bowl(task(9.0)))]


def test_each_worker_has_a_number_of_its_own_and_who_replaces_one_takes_its(tmp_path: Path) -> None:
    seated = Seated(tmp_path)
    tasks = [task(float(x)) for x in range(6)]
    with Pool(3, seated) as pool:
        pool.run(dies_below_zero, tasks)
        assert seated.numbers() == [0, 1, 2]
        first = set(tmp_path.iterdir())
        assert isinstance(pool.run(dies_below_zero, [task(-1.0)])[0], Died)
        pool.run(dies_below_zero, tasks)
        assert seated.numbers() == [0, 1, 2]
        assert len(set(tmp_path.iterdir()) - first) == 1


def test_a_worker_that_falls_silent_is_killed(tmp_path: Path) -> None:
    stuck = Ledger(tmp_path, deaths=1, mortal_above=5, stuck=True)
    with Pool(1, silence=1.5) as pool:
        pool.run(stuck, [task(1.0)])
        assert pool.run(stuck, [task(9.0)]) == [Died("the worker was silent for 2 s")]
    assert not any(_runs(pid) for pid in Ledger(tmp_path).pids())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_when_their_parent_does(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        # a job that a shell started in the background would ignore Ctrl-C, and so would its children
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\nfrom tuning.problems import Slow, task\nfrom "
        "stillhouse.tuning.workers import Pool\n"
        f"with Pool(2) as pool: pool.run(Slow(Path({str(tmp_path)!r})), [task(0.0), task(1.0)])"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _until(lambda: len(list(tmp_path.glob("*"))) == 2)
        pids = [int(p.name) for p in tmp_path.glob("*")]
        assert all(_runs(pid) for pid in pids)
        parent.send_signal(number)
        _until(lambda: not any(_runs(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _until(holds, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
