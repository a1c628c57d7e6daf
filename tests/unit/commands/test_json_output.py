"""``--json`` prints what ``json.dumps`` with an indent of one prints."""

import json

import pytest

from dgaal_cli.commands._context import Context


@pytest.mark.parametrize("last", [1.5, float("nan")])
def test_document_is_indented_as_the_standard_library_does(capsys, last):
    document = {
        "name": "caf\u00e9 \x1b\ud800",
        "none": [],
        "empty": {},
        "rows": [[1, None], [last]],
    }
    context = Context(directory=None, json=True, quiet=True, at_end=print)
    assert context.printed_json(document)
    assert capsys.readouterr().out == json.dumps(document, indent=1) + "\n"


@pytest.mark.parametrize("count", [0, 1, 1000, 2500])
def test_array_in_parts_is_indented_as_the_standard_library_does(capsys, count):
    rows = [{"number": number, "parts": ["]", [number / 3]]} for number in range(count)]
    context = Context(directory=None, json=True, quiet=True, at_end=print)
    assert context.printed_json_array(iter(rows))
    assert capsys.readouterr().out == json.dumps(rows, indent=1) + "\n"
