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
