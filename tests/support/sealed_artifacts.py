"""Exported and sealed files of the small networks, made once per process."""

from functools import cache

from formula_nets import CASES_BY_ROLE

from exporters import seal
from exporters.registry import load_exporter


@cache
def sealed(role: str, format_: str) -> bytes:
    """The bytes of an artifact that loads."""
    case = CASES_BY_ROLE[role]()
    return seal.seal(load_exporter(format_)(case.module, case.spec), format_)
