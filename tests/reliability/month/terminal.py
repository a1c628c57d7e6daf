"""What a session of the plain terminal says that it saved."""

import re

from month.model import Event, State

_QUESTION = re.compile(r"^\d+\. image (\S+?)(?:, .*)?\. class.*\?$")
_LATE = "kept, not counted"
_SAME = "nothing changed: what was imported for this image later counts"
_SAVED = ("saved:", "taken back", "restored", "flagged", "flag removed", "took the", "added class")


def turns(out: str) -> list[tuple[str, list[str]]]:
    """Return the image of each question and the lines printed after it."""
    found: list[tuple[str, list[str]]] = []
    for line in out.splitlines():
        asked = _QUESTION.match(line)
        if asked:
            found.append((asked[1], []))
        elif found:
            found[-1][1].append(line)
    return found


def answered(before: State, person: str, words: list[str], out: str) -> list[State]:
    """Return the states that a session may leave; each line that it acknowledged is in all.

    None is returned if the session says that an undo changed nothing, and it did.

    Args:
        before: State when the session began.
        person: Who types.
        words: Typed lines, one per question.
        out: What the session printed.
    """
    state = before
    for word, (image, said) in zip(words, turns(out), strict=False):
        is_same = any(line.startswith(_SAME) for line in said)
        is_late = any(_LATE in line for line in said)
        after = typed(state, person, image, word, is_late=is_late)
        if is_same and after.standing() != state.standing():
            return []  # it says that nothing changed
        if is_same or any(line.startswith(_SAVED) or _LATE in line for line in said):
            state = after
        elif not said or said[0].startswith("NOT SAVED"):
            return [state, after]  # killed or failed before the acknowledgment
    return [state]


def typed(state: State, person: str, image: str, word: str, *, is_late: bool) -> State:
    """Return the state after one typed line about an image."""
    if word.startswith("+"):
        return _with_class(state, word[1:])
    if word in ("u", "redo"):
        event = state.reversal(person, "undo" if word == "u" else "redo")
        return state if event is None else state.plus(event)
    says = {"x": "cannot_tell", "s": "skip", "f": "flag"}.get(word, "label")
    if says == "flag" and (image, person) in state.flags():
        says = "unflag"
    event = Event(
        kind=says,
        says=says,
        image=image,
        person=person,
        uid=state.uid(word) if says == "label" else None,
        counted=not is_late,
        round=state.round,
    )
    return state.plus(event)


def _with_class(state: State, name: str) -> State:
    from dataclasses import replace

    return replace(state, classes=(*state.classes, ("", name)))
