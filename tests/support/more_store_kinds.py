"""A plugin that registers more kinds of store: one that works and several broken ones."""

import dataclasses
import secrets
from pathlib import Path
from typing import Any, Self

from dgaal_cli.store.open import KINDS
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, Receipt, Restored, Undone
from dgaal_cli.store.sqlite.location import SqliteLocation


class StoreProxy:
    """Forward every call to a working store; subclasses break one method each."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()


class NoUndoStore(StoreProxy):
    """A store whose ``undo`` changes nothing."""

    def undo(self, *names: str, op_id: str | None = None) -> Undone | None:
        return None


class DuplicatingStore(StoreProxy):
    """Stores an answer twice if it is submitted twice with the same ``op_id``."""

    def submit(self, answer: Answer, **options: Any) -> Receipt:
        fresh = dataclasses.replace(answer, op_id=secrets.token_hex(8))
        return self.store.submit(fresh, **options)


class NoUndoLocation(SqliteLocation):
    """Opens stores whose ``undo`` changes nothing."""

    def open(self, **options: Any) -> Any:
        return NoUndoStore(super().open(**options))


class DuplicatingLocation(SqliteLocation):
    """Opens stores that store repeated answers twice."""

    def open(self, **options: Any) -> Any:
        return DuplicatingStore(super().open(**options))


class NoRestoreLocation(SqliteLocation):
    """Does not restore anything, and reports success."""

    def restore(self, copy: Path | None = None) -> Restored:
        return Restored(backup=copy or self.backups()[0], set_aside=self.path, events=1, missing=0)


KINDS.update(
    twin="dgaal_cli.store.sqlite.location:SqliteLocation",
    forgetful="more_store_kinds:NoUndoLocation",
    doubling="more_store_kinds:DuplicatingLocation",
    unrestored="more_store_kinds:NoRestoreLocation",
)
