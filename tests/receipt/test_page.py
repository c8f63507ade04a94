"""The page as text: nothing is loaded, nothing can run, and what is missing is said."""

import re
from html.parser import HTMLParser

import pytest
from receipt.conftest import HOSTILE, PLANS

from stillhouse.receipt.page import date, tied

VOID = {"meta", "img", "br", "col", "input", "hr", "link"}
SECTIONS = [
    "rules",
    "teacher",
    "flips",
    "mistakes",
    "classes",
    "trust",
    "withstands",
    "device",
    "search",
    "data",
    "drift",
    "cost",
    "again",
]


class Shape(HTMLParser):
    """Collects tags, attributes and visible text, and holds that every element is closed."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def shape(page):
    parser = Shape()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.mark.parametrize("state", PLANS)
def test_the_page_is_whole_loads_nothing_and_runs_nothing(made, state):
    page = made(state).page
    found = shape(page)
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert len(page) < 3_000_000
    assert not {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "form",
        "base",
        "audio",
        "video",
    } & set(found.tags)
    assert not [a for a in found.attributes if a[1].startswith("on")]
    assert all(
        value.startswith("data:image/png;base64,")
        for _, name, value in found.attributes
        if name == "src"
    )
    assert all(
        value.startswith("#")
        for _, name, value in found.attributes
        if name in ("href", "xlink:href")
    )
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.parametrize("state", PLANS)
def test_every_section_is_there_and_every_link_has_its_end(made, state):
    found = shape(made(state).page)
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert ids == SECTIONS
    assert {value[1:] for _, name, value in found.attributes if name == "href"} <= set(ids)


@pytest.mark.parametrize("state", PLANS)
def test_a_stacked_table_keeps_its_roles(made, state):
    page = made(state).page
    for table in re.findall(r'<table[^>]*class="[^"]*stack.*?</table>', page, flags=re.S):
        assert table.startswith('<table role="table"')
        bare = [
            row
            for row in re.findall(r"<tr[^>]*>", table)
            if 'role="row"' not in row and "aria-hidden" not in row
        ]
        assert bare == []


@pytest.mark.parametrize("state", PLANS)
def test_no_number_is_not_one(made, state):
    text = " ".join(shape(made(state).page).text)
    assert not re.search(r"\b(nan|inf|None(?! of)|Undefined)\b", text)
    assert not re.search(r'(x|y|x1|x2|y1|y2|cx|cy|width|height)="[^"]*(nan|inf)', made(state).page)


def test_hostile_names_are_shown_as_text(made):
    page = made("hostile").page
    found = shape(page)
    text = "".join(found.text)
    assert "</script><img src=x…" in text
    assert "bi␣di␣␣{{ 7 * 7 }}" in text
    assert "<script>alert(1)</script>" in text
    assert [a for a in found.attributes if a[1] == "title" and a[2].startswith("<b>xxx")]
    assert not set("\u202e\u0007\u2028") & set(page)
    assert HOSTILE[2] not in page


def test_what_was_not_measured_is_said_and_not_drawn(made):
    text = " ".join("".join(shape(made("bare").page).text).split())
    assert "Not measured against controls; this receipt cannot say what the teacher gave." in text
    assert "Not measured: no attack is set in params.yaml." in text
    assert "Not measured: attacks, robustness.attacks is empty. " in f"{text} "
    assert ".." not in text
    assert "Not measured: nothing was left open in params.yaml, so nothing was searched." in text
    assert "There is no int8 form: export.int8 is off." in text
    assert "Nothing yet: no version of woods is in production." in text
    assert "Accuracy against epsilon" not in text
    drawn = " ".join("".join(shape(made("promoted").page).text).split())
    assert "Not measured" not in drawn
    assert "Accuracy against epsilon" in drawn
    assert "Nothing to compare with yet: no version is in production." in text
    assert "No: 3 of 4 features moved, most of all" in drawn
    assert "a population stability index of at least 0.1" in drawn


def test_none_seen_has_its_upper_bound(made):
    text = " ".join("".join(shape(made("flawless").page).text).split())
    assert "0 of 240, at most 1.2" in text
    assert "No test row changes" in text
    assert "The teacher made none" in text


def test_pictures_are_shown_only_where_it_is_allowed(made):
    assert "data:image/png" in made("promoted").page
    assert "data:image/png" in made("colour").page
    for state in ("private", "table"):
        assert "data:image/png" not in made(state).page
        first = made(state).receipt["evidence"]["flips"]["negative"][0]["row"]
        assert f"<b>{first}</b>" in made(state).page


def test_a_few_classes_get_a_matrix_and_many_get_a_list(made):
    assert 'class="cm"' in made("promoted").page
    assert 'class="cm"' not in made("many").page
    assert "Commonest confusions" in made("many").page
    assert "The 10 worst of 30 classes" in made("many").page


def test_the_numbers_on_top_are_the_receipts(made):
    receipt, text = made("promoted").receipt, "".join(shape(made("promoted").page).text)
    low, estimate, high = receipt["student"]["test_accuracy"]
    assert f"{100 * estimate:.1f} " in text
    assert f"[{100 * low:.1f},\u00a0{100 * high:.1f}], 240 rows" in text
    assert f"{receipt['flips']['negative']} lost, {receipt['flips']['positive']} won" in text


def test_a_number_never_parts_from_its_unit():
    assert tied("at most 4 kB in 2 ms, 3 points") == "at most 4\u00a0kB in 2\u00a0ms, 3\u00a0points"
    assert date("2026-11-24T16:08:00+00:00") == "24 November 2026, 16:08 UTC"


def test_the_truth_lies_between_what_is_proved_and_what_no_attack_moved_and_a_mask_is_told(made):
    drawn = " ".join("".join(shape(made("promoted").page).text).split())
    bracket = "between 12.0 % (proved by interval bounds) and 64.0 % (no attack got through)."
    assert f"Inside linf 0.1 the truth lies {bracket}" in drawn
    assert "Masked? zero gradients: 31% of the rows have no gradient at all." in drawn
    assert "Attacked once more without gradients." in drawn
    bare = "".join(shape(made("bare").page).text)
    assert "the truth lies" not in bare
    assert "misled" not in bare
