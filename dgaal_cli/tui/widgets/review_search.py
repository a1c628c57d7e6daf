"""Words by which the review lists answers: a part of the file's name, annotator and time."""

from dataclasses import dataclass

from dgaal_cli.errors import UsageError
from dgaal_cli.tui.bridge import StandingAnswer

OWN = "me"
"""Stands for the annotator of the session."""
KEYS = ("by", "since", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Conditions that an answer must meet; empty ones hold for each."""

    names: tuple[str, ...] = ()
    """Parts of the file's name or folder, in lower case; all must be in it."""
    by: str = ""
    since: str = ""
    """Start of the time, as in ``2026-11-30`` or ``2026-11-30T14``, UTC."""
    before: str = ""

    def keeps(self, answer: StandingAnswer) -> bool:
        """Return whether an answer meets all conditions."""
        name = answer.sample_id.casefold()
        return (
            all(part in name for part in self.names)
            and self.by in ("", answer.given_by or OWN)
            and (not self.since or answer.at >= self.since)
            and (not self.before or "" < answer.at < self.before)
        )


ALL = Search()


def parse_search(words: str) -> Search:
    """Read words such as ``church by:ann since:2026-11-30``.

    Raises:
        UsageError: A word has an unknown key, or no value.
    """
    names: list[str] = []
    found: dict[str, str] = {}
    for word in words.split():
        key, colon, value = word.partition(":")
        if not colon:
            names.append(word.casefold())
        elif key in KEYS and value:
            found[key] = value
        else:
            known = ", ".join(f"{each}:…" for each in KEYS)
            raise UsageError(f"'{word}' is no condition: use a part of a name, {known}")
    return Search(names=tuple(names), **found)
