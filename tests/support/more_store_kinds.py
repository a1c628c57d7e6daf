"""A plugin with more kinds of store, each one line in the registry: a sound one, broken ones."""

import dataclasses
import secrets
from pathlib import Path
from typing import Any, Self

from dgaal_cli.store.open import KINDS
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, Receipt, Restored, Undone
from dgaal_cli.store.sqlite.location import SqliteLocation


class Broken:
    """Passes everything on to a sound store, but what a subclass breaks."""

    def __init__(self, store: Store) -> None:
        self.sound = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sound, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sound.close()


class Forgetful(Broken):
    """Its ``undo`` changes nothing."""

    def undo(self, *names: str, op_id: str | None = None) -> Undone | None:
        return None


class Doubling(Broken):
    """Stores an answer once more when it is submitted again with the same ``op_id``."""

    def submit(self, answer: Answer, **options: Any) -> Receipt:
        fresh = dataclasses.replace(answer, op_id=secrets.token_hex(8))
        return self.sound.submit(fresh, **options)


class ForgetfulLocation(SqliteLocation):
    """Opens stores that forget to undo."""

    def open(self, **options: Any) -> Any:
        return Forgetful(super().open(**options))


class DoublingLocation(SqliteLocation):
    """Opens stores that store twice."""

    def open(self, **options: Any) -> Any:
        return Doubling(super().open(**options))


class UnrestoredLocation(SqliteLocation):
    """Leaves the store as it is, and reports success."""

    def restore(self, copy: Path | None = None) -> Restored:
        return Restored(backup=copy or self.backups()[0], set_aside=self.path, events=1)


KINDS.update(
    twin="dgaal_cli.store.sqlite.location:SqliteLocation",
    forgetful="more_store_kinds:ForgetfulLocation",
    doubling="more_store_kinds:DoublingLocation",
    unrestored="more_store_kinds:UnrestoredLocation",
)
