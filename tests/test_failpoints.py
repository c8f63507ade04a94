import subprocess
import sys

import pytest

from stillhouse import failpoints
from stillhouse.errors import SettingsError
from stillhouse.failpoints import Injected, failpoint


def test_an_unarmed_point_does_nothing():
    failpoint("workspace.before_write")
    assert failpoints.hits() == {}  # not even counted: off costs one dictionary test


def test_a_point_fails_at_its_count_and_only_then():
    failpoints.arm("workspace.before_write=raise@2")
    failpoint("workspace.before_write")
    with pytest.raises(Injected):
        failpoint("workspace.before_write")
    failpoint("workspace.before_write")


@pytest.mark.parametrize(("action", "number"), [("enospc", 28), ("eio", 5)])
def test_a_disk_may_be_full_or_broken(action, number):
    failpoints.arm(f"workspace.before_replace={action}")
    with pytest.raises(OSError, match=r"No space|Input/output") as caught:
        failpoint("workspace.before_replace")
    assert caught.value.errno == number


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("term", -15)])
def test_a_process_can_be_ended_at_a_point(action, code):
    script = (
        "from stillhouse import "
        f"failpoints\nfailpoints.arm('release.after_append={action}')\nfailpoints.failpoint('release.after_append')"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == code


def test_ctrl_c_arrives_as_ctrl_c():
    failpoints.arm("training.batch=int")
    with pytest.raises(KeyboardInterrupt):
        failpoint("training.batch")


@pytest.mark.parametrize(
    "text",
    [
        "no.such=kill",
        "workspace.before_write=explode",
        "workspace.before_write=kill@0",
        "workspace.before_write=kill@x",
        "workspace.before_write",
    ],
)
def test_a_misspelt_order_is_refused(text):
    failpoints.arm("workspace.before_write=kill@1;release.before_alias=eio")
    with pytest.raises(SettingsError):
        failpoints.arm(text)


def test_every_declared_point_stands_in_the_code_and_no_other():
    import re
    from pathlib import Path

    import stillhouse
    import stillhouse_flows

    roots = [Path(str(package.__file__)).parent for package in (stillhouse, stillhouse_flows)]
    source = "\n".join(p.read_text() for root in roots for p in root.rglob("*.py"))
    used = set(re.findall(r'failpoint\("([a-z_.]+)"\)', source))
    fixed = {name for name in failpoints.DECLARED if not name.startswith("step.")}
    assert used == fixed
    for when in ("before_record", "after_record"):
        assert f'failpoint(f"step.{{name}}.{when}")' in source
