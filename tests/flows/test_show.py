import json
from pathlib import Path

import pytest

from stillhouse.pipeline.reproduce import Reproduction
from stillhouse.receipt.same import Comparison, Difference
from stillhouse_flows import show


def test_control_characters_in_data_cannot_move_the_cursor():
    assert show.plain("red\x1b[2J\r\nblue\u202e") == "red␣[2J␣␣blue␣"
    assert show.plain("Müller, 3 × 4, 日本") == "Müller, 3 × 4, 日本"


def test_a_long_text_is_cut_with_a_sign_that_it_was():
    assert show.plain("abcdef", 4) == "abc…"
    assert show.plain("abcd", 4) == "abcd"


def test_a_failure_is_told_on_stderr_and_with_json_as_one_object_too(
    capsys: pytest.CaptureFixture[str],
):
    show.failure("no [bold]file[/bold] there", json_only=True)
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": "no [bold]file[/bold] there"}
    assert told.err == "✕ no [bold]file[/bold] there\n"
    show.failure("no file", json_only=False)
    assert capsys.readouterr().out == ""


def test_a_small_probability_is_not_shown_as_none_and_the_threshold_is_told(
    capsys: pytest.CaptureFixture[str],
):
    rows = [{"row": "a.jpg", "class": "crash", "probability": 2.2e-6}]
    told = {"class": "crash", "at": 1e-6}
    show.predictions({"version": 1, "threshold": told, "rows": rows, "notes": []})
    said = capsys.readouterr()
    assert "a.jpg" in said.out
    assert "2.2e-06" in said.out
    assert "From a probability of 1e-06 on, chosen on val, a row is called 'crash'" in " ".join(
        said.err.split()
    )


def test_the_thresholds_of_several_labels_are_told(capsys: pytest.CaptureFixture[str]):
    rows = [{"labels": ["war"], "probabilities": {"war": 0.3, "art": 0.1}}]
    told = {"labels": {"war": 0.25, "art": 0.5}}
    show.predictions({"version": 1, "threshold": told, "rows": rows, "notes": []})
    said = capsys.readouterr()
    assert "war 0.300" in said.out
    assert "a row is given a label: war 0.25, art 0.5." in " ".join(said.err.split())


def test_names_of_classes_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    show.predictions(
        {"version": 1, "rows": [{"class": "[red]\x1b[31m", "probability": 0.5}], "notes": []}
    )
    out = capsys.readouterr().out
    assert "[red]␣[31m" in out
    assert "\x1b" not in out


def test_a_version_that_could_not_be_made_again_is_told_with_what_matters_of_the_differences(
    capsys: pytest.CaptureFixture[str],
):
    many = [Difference(f"arms[0].seeds[{at}].loss", 0.1, 0.2) for at in range(300)]
    differing = (*many, Difference("student.parameters", 1700, 1406))
    causes = (Difference("lineage.code", "a1", "b2"),)
    made = Reproduction(
        model="digits",
        version=2,
        commit="e2f72a1a02b4" + "0" * 28,
        committed=False,
        fingerprint="f" * 64,
        again="0" * 64,
        compared=Comparison(1346, differing, causes),
        folder=Path("/a/copy"),
        seconds=63.0,
    )
    show.reproduced(made)
    said = " ".join(capsys.readouterr().out.split())
    assert "another student, 1045 of 1346 values equal" in said
    assert "not committed" in said
    assert "differs then now student.parameters 1700 1406" in said
    assert "and 289 more (--json lists them)" in said
    assert "not what it was then now lineage.code a1 b2" in said
    assert "the copy /a/copy" in said
