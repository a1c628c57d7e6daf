"""Which images a session may ask: those whose file still is the one that was chosen."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgaal_cli.data.presence import folder_of, is_gone_from
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.queue import Ahead
from dgaal_cli.labeling.view import QueryImage
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import ItemRecord, ItemState, Query

if TYPE_CHECKING:
    from dgaal_cli.labeling.file_changes import ImageWatch


class AskedFiles:
    """Sets images aside in the store whose file was replaced or is gone, and takes them back in."""

    def __init__(
        self, store: LabelStore, ahead: Ahead, make_watch: "Callable[[], ImageWatch] | None"
    ) -> None:
        """Remember what to look at.

        Args:
            store: Where the images' states are.
            ahead: What will be asked; lost images leave it.
            make_watch: Compares files; made at the first need, as it imports NumPy. Without it
                every image is as it was.
        """
        self._store = store
        self._ahead = ahead
        self._make_watch = make_watch
        self._told: list[tuple[str, ItemState]] = []

    def seems_there(self, item: ItemRecord, root: Path, spec: str) -> bool | None:
        """Whether an image's file is there; None where one look without any import cannot tell."""
        folder = folder_of(root, spec)
        if self._make_watch is None or item.is_synthetic or folder is None:
            return None
        return not is_gone_from(folder, item.sample_id)

    def is_as_it_was(
        self, item_id: ItemId, *, is_seen: bool, on_screen: ItemId | None = None
    ) -> bool:
        """Compare an image's file with what the store knows; set it aside if it is lost.

        Args:
            item_id: The image.
            is_seen: It was on a screen: that its file is gone since does not matter.
            on_screen: The image that is on it now.
        """
        if self._make_watch is None:
            return True
        item = self._store.item(item_id)
        if not is_seen and not item.is_synthetic and self._watch.is_gone(item.sample_id):
            self._put_gone_aside({item_id: item.sample_id}, on_screen)
            return False
        if self._watch.state_of(item) == "changed":
            self._put_aside({item_id: item.sample_id}, "changed")
            return False
        return True

    def drop_gone(self, images: Sequence[QueryImage], *, on_screen: ItemId | None = None) -> bool:
        """Set those aside whose file is gone; tell whether there were any.

        Args:
            images: What is looked at; where one is gone, the rest of the query as well.
            on_screen: An image of the rest that stays.
        """
        if self._make_watch is None:
            return False
        gone = self._gone(images)
        if gone:
            self._put_gone_aside(gone, on_screen)
        return bool(gone)

    def take_back_in(self, query: Query | None) -> None:
        """Ask images again whose old file is back."""
        lost = self._store.replaced() if self._make_watch else []
        changed = [self._store.item_by_sample(name) for name, state in lost if state == "changed"]
        # Training may have missed a whole disk: only those that would be asked are looked for.
        asked = query.entries if query and len(lost) > len(changed) else ()
        missing = [item for e in asked if (item := self._store.item(e.item_id)).state == "missing"]
        for item in (*filter(None, changed), *missing):
            state = self._watch.state_of(item)
            if state is not None and state != item.state:
                self._store.set_states({item.item_id: state})

    def told(self) -> str:
        """What was set aside since this was asked last."""
        told, self._told = self._told, []
        parts: list[str] = []
        for state, what, remedy in (
            ("changed", "replaced since 'dgaal init'", "put the old file back to be asked"),
            ("missing", "its file is gone", "put it back to be asked"),
        ):
            names = [show(name) for name, found in told if found == state]
            if names:
                listed = ", ".join(names[:3]) + (", ..." if names[3:] else "")
                parts.append(f"set aside, {what}: {listed}; {remedy}")
        return "; ".join(parts)

    @cached_property
    def _watch(self) -> "ImageWatch":
        assert self._make_watch is not None, "this session compares no files"
        return self._make_watch()

    def _gone(self, images: Sequence[QueryImage]) -> dict[ItemId, str]:
        names = {s.item_id: s.sample_id for s in images if not s.is_synthetic}
        return {item: name for item, name in names.items() if self._watch.is_gone(name)}

    def _put_gone_aside(self, gone: Mapping[ItemId, str], on_screen: ItemId | None) -> None:
        """Do so together with all of the rest that is gone: one write, not one an image."""
        known = {*gone, on_screen}
        rest = [s for s in self._ahead.rest() if s.item_id not in known]
        self._put_aside({**gone, **self._gone(rest)}, "missing")

    def _put_aside(self, names: Mapping[ItemId, str], state: ItemState) -> None:
        self._store.set_states(dict.fromkeys(names, state))
        for item_id, name in names.items():
            self._ahead.drop(item_id)
            self._told.append((name, state))
        self._ahead.rank()
