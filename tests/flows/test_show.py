import json

import pytest

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


def test_names_of_classes_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    show.predictions(
        {"version": 1, "rows": [{"class": "[red]\x1b[31m", "probability": 0.5}], "notes": []}
    )
    out = capsys.readouterr().out
    assert "[red]␣[31m" in out
    assert "\x1b" not in out
