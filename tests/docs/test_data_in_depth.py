"""The guide on data leaves out no source and no expectation of ours."""

import re
from pathlib import Path

import yaml

from stillhouse import plugins

GUIDE = (Path(__file__).parents[2] / "docs/guide/data-in-depth.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]


def test_the_guide_shows_each_source_but_the_built_in_data_sets() -> None:
    shown = {block["prepare"]["source"]["name"] for block in BLOCKS if "prepare" in block}
    assert shown | {"parquet", "digits", "breast_cancer"} == set(plugins.available("sources"))
    assert "name: parquet" in GUIDE


def test_the_guide_shows_every_expectation_of_ours() -> None:
    assert all(f"`{name}`" in GUIDE for name in plugins.available("expectations"))
