"""The examples' settings are valid today; that they run is for whoever has the data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stillhouse.pipeline import settings
from stillhouse.steps import all as steps_of

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PLACES = sorted(path.parent for path in EXAMPLES.glob("*/params.yaml"))
MEASURED = [place for place in PLACES if (place / "measured.json").is_file()]
DATA = Path(os.environ.get("STILLHOUSE_DATA") or EXAMPLES.parent.parent / "shared" / "data")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_an_examples_settings_are_valid(place: Path):
    params = yaml.safe_load((place / "params.yaml").read_text())
    assert settings.check(params, steps_of.load(), place)["model"] == params["model"]


@pytest.mark.parametrize("place", MEASURED, ids=lambda place: place.name)
def test_an_example_is_listed_and_its_table_is_what_was_measured(place: Path):
    assert f"]({place.name}/README.md)" in (EXAMPLES / "README.md").read_text()
    found = json.loads((place / "measured.json").read_text())
    for arm in found["arms"]:
        assert (
            f"| {arm['name']} | {100 * arm['accuracy'][1]:.1f} ["
            in (place / "README.md").read_text()
        )


def test_an_example_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "run.py", "adults"], capture_output=True, text=True
    )
    assert (done.returncode, "adult, beijing_air" in done.stderr) == (2, True)


@pytest.mark.stories
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here (STILLHOUSE_DATA)")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_an_example_runs_from_its_data_to_a_measured_table(place: Path):
    done = subprocess.run([sys.executable, EXAMPLES / "run.py", place.name], cwd=EXAMPLES.parent)
    assert done.returncode == 0  # held and rejected students have a receipt too
