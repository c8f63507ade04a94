import pytest

from stillhouse.data.filenames import Pattern
from stillhouse.errors import SettingsError, SourceError


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("{label}_{group}_{n}", "7_anna_3", {"label": "7", "group": "anna", "n": "3"}),
        ("{label}_{group}_{n}", "7_anna_lee_3", {"label": "7", "group": "anna", "n": "lee_3"}),
        ("{group}-s{n}", "p12-s4", {"group": "p12", "n": "4"}),
        ("scan.{n}({label})", "scan.1(ill)", {"n": "1", "label": "ill"}),
        ("{label}", "a b", {"label": "a b"}),
    ],
)
def test_fields_are_read_from_a_name(text: str, name: str, found: dict[str, str]) -> None:
    assert Pattern.of(text, where="x").read(name, where="x") == found


@pytest.mark.parametrize("name", ["7_anna", "_anna_3", "7", ""])
def test_a_name_that_does_not_follow_the_pattern_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        SourceError,
        match=r"a\.wav: the name does not follow the pattern '\{label\}_\{group\}_\{n\}'",
    ):
        Pattern.of("{label}_{group}_{n}", where="x").read(name, where="a.wav")


@pytest.mark.parametrize(
    "text", ["", "label", "{speaker}", "{label}{n}", "{n}_{n}", "{label", "{label}_{Group}"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"prepare\.source\.pattern"):
        Pattern.of(text, where="prepare.source.pattern")
