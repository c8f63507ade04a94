"""The page in a real browser: no script runs, nothing is asked of the network, hostile names are
text, and nothing is wider than a phone.
"""

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::ResourceWarning")]

STATES = ["promoted", "held", "rejected", "first", "bare", "table", "many", "hostile"]
WIDER = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('svg')).map(e => e.outerHTML.slice(0, 90))"""


@pytest.fixture
def opened(chromium, made, tmp_path):
    contexts = []

    def get(state, *, width=390, scheme="light"):
        path = tmp_path / f"{state}.html"
        path.write_text(made(state).page)
        context = chromium.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        return page, [url for url in asked if not url.startswith("data:")], said

    yield get
    for context in contexts:
        context.close()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_is_wider_than_the_window(opened, state, width):
    page, asked, said = opened(state, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []
    assert len(asked) == 1
    assert said == []


def test_a_hostile_name_stays_text_and_nothing_runs(opened):
    page, asked, said = opened("hostile")
    page.wait_for_timeout(200)
    assert page.title().startswith("Promoted: </title><script>")
    assert page.title() != "owned"
    assert page.locator("script").count() == 0
    assert page.locator("img[src='x']").count() == 0
    assert "</script><img src=x…" in page.inner_text("#classes")
    assert len(asked) == 1
    assert said == []


def test_the_policy_stops_what_an_escape_would_have_let_through(opened):
    page, _, _ = opened("promoted")
    page.evaluate(
        "() => { const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; "
        "document.body.append(i); }"
    )
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = "
        "'document.title=\"owned\"'; document.body.append(s); }"
    )
    page.wait_for_timeout(200)
    assert page.title() != "owned"
    assert not page.evaluate(
        "[...document.images].some(i => i.src.startsWith('http') && i.naturalWidth)"
    )


def test_dark_and_light_differ_and_both_can_be_read(opened):
    colours = {}
    for scheme in ("light", "dark"):
        page, _, _ = opened("promoted", scheme=scheme)
        colours[scheme] = page.evaluate(
            "[getComputedStyle(document.body).color, "
            "getComputedStyle(document.body).backgroundColor]"
        )
    assert colours["light"] != colours["dark"]
    for ink, paper in colours.values():
        assert contrast(ink, paper) > 7


def contrast(*colours):
    """Return the WCAG 2 contrast ratio of two rgb(…) colours."""

    def light(colour):
        parts = [int(p) / 255 for p in colour[4:-1].split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(light(c) for c in colours)
    return (high + 0.05) / (low + 0.05)


def test_it_prints_on_paper(opened):
    page, _, _ = opened("promoted", width=1280)
    data = page.pdf(prefer_css_page_size=True)
    assert data.startswith(b"%PDF")
    assert (
        3
        <= data.count(b"/Type /Page\n") + data.count(b"/Type /Page/") + data.count(b"/Type /Page ")
        <= 12
    )
