"""Report pages have no network access, scripts or foreign markup."""

import base64
import re

from dgaal_cli.reports.page import Picture, Section, render

HOSTILE = "<script>alert(1)</script>\x1b[31m\"' onerror=x &amp;"


def page(**changes):
    section = Section(
        **{
            "title": HOSTILE,
            "lines": [HOSTILE],
            "table": [["a", HOSTILE], ["b", "1"]],
            "pictures": [Picture(name="p", png=b"\x89PNG-bytes", caption=HOSTILE)],
            **changes,
        }
    )
    return render(HOSTILE, [section])


def test_page_escapes_names_everywhere():
    html = page()
    assert "<script" not in html
    assert "\x1b" not in html
    assert 'onerror=x &amp;amp;"' in html  # inside the alt text's own quotes
    assert html.count("&lt;script&gt;") == 7


def test_page_loads_nothing_from_the_network():
    html = page()
    assert not re.findall(r"(?:https?:)?//", html)
    assert not re.findall(r"<(?:link|iframe|object|script|form)", html)
    assert "default-src 'none'" in html
    sources = re.findall(r'src="([^"]*)"', html)
    assert sources == ["data:image/png;base64," + base64.b64encode(b"\x89PNG-bytes").decode()]


def test_page_has_table_header_and_rows():
    html = page(title="t", lines=[], table=[["method", "AUBC"], ["random", "89.0"]], pictures=[])
    assert "<tr><th>method</th><th>AUBC</th></tr>" in html
    assert "<tr><td>random</td><td>89.0</td></tr>" in html
    assert "<ul>" not in html
