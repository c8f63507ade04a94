import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "robustness"


def test_the_guides_table_is_what_was_measured():
    spec = importlib.util.spec_from_file_location("bench", FOLDER / "attacks.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    told = json.loads((FOLDER / "attacks.json").read_text())
    page = (ROOT / "docs" / "guide" / "attack-a-model.md").read_text()
    assert len(told["asked"]) == 8
    assert bench.markdown(told) in page
