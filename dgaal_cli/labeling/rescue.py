"""Write answers that were saved and that an outside change of the store has removed to a file."""

import os
from collections.abc import Sequence
from pathlib import Path

from dgaal_cli.atomic import replacing
from dgaal_cli.errors import StorageError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.exchange.json_lines import answer_line
from dgaal_cli.store.instants import file_stamp, system_clock, to_microseconds
from dgaal_cli.store.records import AnswerRecord, Label
from dgaal_cli.workspace import private_mode


class SessionRescue:
    """The ``Rescue`` of one labeling session."""

    def __init__(self, folder: Path, text: LabelText) -> None:
        """Start without answers.

        Args:
            folder: Folder for the file.
            text: Converter of the task's labels.
        """
        self.names: dict[ClassUid, str] = {}
        """Names of all classes that the session has shown."""
        self.has_lost = False
        """Answers of this session were missing at the last call."""
        self._folder = folder
        self._text = text
        self._written: tuple[Sequence[AnswerRecord], Path] = (), folder

    def __call__(self, lost: Sequence[AnswerRecord], stored: int) -> str:
        """Write the lost answers to a file, once; return what is lost and what to do."""
        self.has_lost = bool(lost)
        if not lost:
            kept = "every answer saved in this session is still there; " if stored else ""
            return f"{kept}leave, and start 'dgaal label' again with the right store"
        verb = "is" if len(lost) == 1 else "are"
        missing = f"{_count(lost)} saved in this session {verb} no longer there"
        try:
            path = self._write(lost)
        except (OSError, StorageError) as error:
            return self._listed(lost, missing, getattr(error, "strerror", None) or str(error))
        return (
            f"{missing} but in {path}; leave, put the right store back or run "
            f"'dgaal labels restore', then run 'dgaal labels import {path.name}'"
        )

    def _listed(self, answers: Sequence[AnswerRecord], missing: str, reason: str) -> str:
        what = ", ".join(f"{answer.sample_id}: {self._said(answer)}" for answer in answers)
        return (
            f"{missing}, and no file can be written in {self._folder} ({reason}); "
            f"note them before you leave: {what}"
        )

    def _said(self, answer: AnswerRecord) -> str:
        if answer.label is None:
            return answer.kind.replace("_", " ")
        return self._text.to_text(answer.label, self._names_of(answer.label))

    def _names_of(self, label: Label | None) -> dict[ClassUid, str]:
        return {uid: self.names.get(uid, uid) for uid in (label.classes if label else ())}

    def _write(self, answers: Sequence[AnswerRecord]) -> Path:
        written, path = self._written
        if written == answers and path.is_file():
            return path
        stamp = file_stamp(to_microseconds(system_clock()))
        path = self._folder / f"labels-rescued-{stamp}.jsonl"
        with replacing(path) as stream:
            os.fchmod(stream.fileno(), private_mode(self._folder))
            for answer in answers:
                stream.write(answer_line(answer, self._text, self._names_of(answer.label)))
        self._written = answers, path
        return path


def _count(lost: Sequence[AnswerRecord]) -> str:
    undone = sum(record.kind in ("undo", "unflag") for record in lost)
    given = len(lost) - undone
    parts = [f"{n} {name}{'s' * (n > 1)}" for n, name in ((given, "answer"), (undone, "undo")) if n]
    return " and ".join(parts)
