"""Names of keys, the same on every terminal."""

from textual import events


def key_name(event: events.Key) -> str:
    """Return the character that a key types, or its name."""
    if event.character and event.character.isprintable() and event.character != " ":
        return event.character
    return {"ctrl+h": "backspace", "ctrl+m": "enter"}.get(event.key, event.key)
