"""Names of the pages of a file: ``stack.tif#page=2`` is the second one of ``stack.tif``."""

import re

_PAGE = re.compile(r"(.+)#page=([1-9][0-9]{0,8})", re.DOTALL)


def page_name(name: str, number: int) -> str:
    """Return the name of a page, from 1; the first has the name of its file."""
    return name if number == 1 else f"{name}#page={number}"


def file_and_page(name: str) -> tuple[str, int]:
    """Return the name of the file and the number of the page, from 1."""
    found = _PAGE.fullmatch(name)
    if found is None or int(found[2]) < 2:
        return name, 1
    return found[1], int(found[2])
