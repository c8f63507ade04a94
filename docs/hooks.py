"""What MkDocs calls while it builds: formulas become MathML (no script draws them), the pages that others add join the navigation."""

import re
from pathlib import Path

from latex2mathml.converter import convert

BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])")
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
ROOMS = {"guide": "By task", "methods": "Methods", "attacks": "Attacks", "views": "Views", "teachers": "Teachers", "decisions": "Decisions"}


def on_config(config):
    """Add every page that the navigation does not name, in the section of its folder."""
    docs = Path(config.docs_dir)
    named = set(_pages(config.nav))
    for folder in sorted(place for place in docs.iterdir() if place.is_dir() and place.name != "examples"):
        pages = [f"{folder.name}/{page.name}" for page in sorted(folder.glob("*.md"))]
        more = [page for page in pages if page not in named]
        if more:
            title = ROOMS.get(folder.name, folder.name.capitalize())
            section = next((entry[title] for entry in config.nav if title in entry), None)
            if section is None:
                section = []
                config.nav.append({title: section})
            section += more
    return config


def _pages(nav):
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else _pages(value)


def on_page_markdown(markdown, **_):
    """Turn formulas outside code into MathML."""
    parts = CODE.split(markdown)
    return "".join(part if at % 2 else _formulas(part) for at, part in enumerate(parts))


def _formulas(text):
    text = BLOCK.sub(lambda found: f"\n\n<div>{convert(found[1].strip(), display='block')}</div>\n\n", text)
    return INLINE.sub(lambda found: convert(found[1]), text)


OUTSIDE = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"(https?:)?//(?![^\"]*canonical)[^\"]*\"")


def on_post_page(output, page, **_):
    """Refuse a page that would load something from elsewhere: it has to be whole without a network."""
    found = OUTSIDE.search(output)
    if found:
        raise SystemExit(f"{page.file.src_path} loads from outside: {found[0]}")
    return output
