"""One self-contained HTML page: inline pictures, escaped names, no network access, no script."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from dgaal_cli.escaping import show

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
  overflow-x: auto; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #8885; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; background: white; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; opacity: .8; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One PNG with its caption."""

    name: str
    """File name without suffix."""
    png: bytes = field(repr=False)
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a page; everything in it is plain text, never markup."""

    title: str
    lines: Sequence[str] = ()
    """Shown as a list."""
    table: Sequence[Sequence[str]] = ()
    """A header and its rows."""
    pictures: Sequence[Picture] = ()


def render(title: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Its content security policy forbids loading anything, as a second protection against names that
    contain markup.
    """
    body = "\n".join(_section(section) for section in sections)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
{body}
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{_text(section.title)}</h2>"]
    if section.lines:
        items = "\n".join(f"<li>{_text(line)}</li>" for line in section.lines)
        parts.append(f"<ul>\n{items}\n</ul>")
    if section.table:
        head, *rows = section.table
        lines = [_row(head, "th"), *(_row(row, "td") for row in rows)]
        parts.append("<table>\n" + "\n".join(lines) + "\n</table>")
    parts += [_figure(picture) for picture in section.pictures]
    return "\n".join([*parts, "</section>"])


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    caption = _text(picture.caption)
    return (
        f'<figure>\n<img src="data:image/png;base64,{data}" alt="{caption}">\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def _text(text: str) -> str:
    return escape(show(text), quote=True)
