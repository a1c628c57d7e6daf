"""Labeling line by line, for screen readers, dumb terminals and pipes.

One line of output asks, one line of input answers, one line of output reports what was saved.
Output is never overwritten, and no escape sequences are sent.
"""

import time
from collections.abc import Callable
from typing import TextIO

from dgaal_cli.errors import DgaalError, StoreChangedError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui.bridge import LabelSession, LabelView, Press, QueryImage
from dgaal_cli.tui.phrases import answer_text

_SHORT = {"x": "cannot_tell", "s": "skip", "u": "undo", "f": "flag", "?": "help", "q": "quit"}
_ACTIONS = _SHORT | {name: name for name in ("skip", "undo", "redo", "flag", "help", "quit")}
_HELP_TEXTS = {
    "x": "x can't tell",
    "s": "s skip",
    "u": "u undo",
    "redo": "redo",
    "f": "f flag",
    "+": "+NAME add a class",
    "?": "? this help",
    "q": "q quit",
}
"""Help text of each action."""


def run_plain(
    opener: Callable[[], LabelSession],
    source: TextIO,
    sink: TextIO,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Ask until the query is answered or the input ends.

    Returns:
        Exit code 0; 8 if an answer could not be saved, 4 if the store was changed from outside.

    Raises:
        StoreChangedError: At the end, answers of this session are no longer in the store.
    """
    session = opener()
    try:
        return _LineSession(session, source, sink, clock).run()
    finally:
        session.close()


class _LineSession:
    """A label session in line mode."""

    def __init__(
        self, session: LabelSession, source: TextIO, sink: TextIO, clock: Callable[[], float]
    ) -> None:
        self._session = session
        self._source = source
        self._sink = sink
        self._clock = clock

    def run(self) -> int:
        view = self._session.open()
        self._write(self._opening(view))
        if view.note:
            self._report(view, "")
        while view.image is not None:
            self._write(self._question(view, view.image))
            asked_at = self._clock()
            line = self._source.readline()
            word = line.strip()
            uid, action = _parse(view, word)
            if not line or action == "quit":
                break
            if not word:
                continue
            elapsed_ms = round((self._clock() - asked_at) * 1000)
            try:
                if uid is None and action not in ("cannot_tell", "skip"):
                    view = self._act(view, word, action)
                else:
                    view = self._answer(view.image, uid, action, elapsed_ms)
            except UsageError as error:
                self._write(str(error))
            except DgaalError as error:
                self._write(f"NOT SAVED: {error}")
                return error.exit_code if isinstance(error, StoreChangedError) else 8
        self._session.check()
        self._write(self._closing(view))
        return 0

    def _act(self, view: LabelView, word: str, action: str) -> LabelView:
        """Run an action that is not an answer."""
        match action:
            case "help":
                self._write(f"{_help(view)}.")
                return view
            case "undo":
                return self._report(self._session.undo(), "taken back")
            case "redo":
                return self._report(self._session.redo(), "restored")
            case "flag":
                return self._report(self._session.flag(), "done")
            case "add":
                name = word.removeprefix(_prefix(view)).strip().removeprefix("+").strip()
                return self._report(self._session.add_class(name), "done")
            case _:
                raise UsageError(f"no class '{word}'; {_help(view)}")

    def _answer(
        self, image: QueryImage, uid: ClassUid | None, action: str, elapsed_ms: int
    ) -> LabelView:
        press = Press(
            kind="label" if uid else "skip" if action == "skip" else "cannot_tell",
            item_id=image.item_id,
            label=class_label(uid) if uid else None,
            elapsed_ms=elapsed_ms,
        )
        after = self._session.answer(press)
        if not after.is_refused:
            text = answer_text(press.kind, "", show(after.label_name(press.label)))
            p = after.progress
            self._write(f"saved: {text}. {p.size - p.left} of {p.size}.")
        return self._report(after, "") if after.note else after

    def _report(self, view: LabelView, text: str) -> LabelView:
        self._write(f"{show(view.note) or text}.")
        return view

    def _opening(self, view: LabelView) -> str:
        if view.image is None:
            return "no image to label: run 'dgaal train' and 'dgaal query' for the next ones."
        names = ", ".join(f"{i} {show(c.name)}" for i, c in enumerate(view.classes, start=1))
        p = view.progress
        start = f"{show(view.name)}, round {view.round}, {p.left} of {p.size} images left."
        return f"{start} {_help(view)}.\nclasses: {names or 'none yet; add one with +NAME'}."

    def _question(self, view: LabelView, image: QueryImage) -> str:
        kind = "synthetic image" if image.is_synthetic else "image"
        reason = f", {show(image.reason)}" if image.reason else ""
        number = view.progress.size - view.progress.left + 1
        prefixed = [_help_text(view, word) for word in _HELP_TEXTS if _is_class(view, word)]
        also = f" (or {', '.join(prefixed)})" if prefixed else ""
        return f"{number}. {kind} {show(image.sample_id)}{reason}. class{also}?"

    def _closing(self, view: LabelView) -> str:
        p = view.progress
        if view.state == "answered":
            return "the round is answered: run 'dgaal train' and 'dgaal query' for the next one."
        return f"everything is saved; {p.left} of {p.size} images left."

    def _write(self, text: str) -> None:
        self._sink.write(text + "\n")
        self._sink.flush()


def _parse(view: LabelView, word: str) -> tuple[ClassUid | None, str]:
    """Return the class or the action of an input line; neither if the line is unknown.

    Class names take precedence over actions; with a prefix, a word is always an action.
    """
    uid = _class_of(view, word)
    if uid is not None:
        return uid, ""
    rest = word.removeprefix(_prefix(view)).strip()
    return None, "add" if rest.startswith("+") else _ACTIONS.get(rest, "")


def _class_of(view: LabelView, word: str) -> ClassUid | None:
    """Find a class by exact name, then by name or key, then by position."""
    for record in view.classes:
        if record.name == word:
            return record.uid
    for record in view.classes:
        if word and (record.name.casefold() == word.casefold() or record.key == word):
            return record.uid
    if word.isascii() and word.isdecimal() and 1 <= int(word) <= len(view.classes):
        return view.classes[int(word) - 1].uid
    return None


def _is_class(view: LabelView, word: str) -> bool:
    """Whether a class has the name of an action; ``+`` means any name that starts with it."""
    if word == "+":
        return any(record.name.startswith("+") for record in view.classes)
    return _class_of(view, word) is not None


def _prefix(view: LabelView) -> str:
    """Return the prefix of actions: as many colons that no class name starts with it."""
    prefix = ":"
    while any(record.name.startswith(prefix) for record in view.classes):
        prefix += ":"
    return prefix


def _help_text(view: LabelView, word: str) -> str:
    return f"{_prefix(view) if _is_class(view, word) else ''}{_HELP_TEXTS[word]}"


def _help(view: LabelView) -> str:
    actions = ", ".join(_help_text(view, word) for word in _HELP_TEXTS)
    return f"type a class name or its number, or: {actions}"
