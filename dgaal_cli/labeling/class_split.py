"""Split a class: its images are asked again, with finer classes; can be undone.

The answers that name the class are withdrawn by events with a session of their own, so the history
keeps them, and ``undo_split`` can restore those that nobody has replaced.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.class_list import ListedClass, listed_classes
from dgaal_cli.rounds.state import round_state
from dgaal_cli.rounds.stored_query import store_query
from dgaal_cli.store.classes import clean_name
from dgaal_cli.store.fold import fact_of, fold
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import EventRecord, ImportedLabel, Query, QueryEntry, Verdict
from dgaal_cli.tasks.registry import workspace_task
from dgaal_cli.workspace import Workspace

STRATEGY = "split"
"""Strategy of a query that asks the images of a class again."""
_ANSWERS = ("label", "cannot_tell", "adjudicate", "inherit")


def split_class(
    workspace: Workspace, config: Config, name: str, into: Sequence[str]
) -> tuple[list[ListedClass], int]:
    """Replace a class by others, and ask its images again.

    Withdrawn are all answers that name the class, and all others of images whose label it is: else
    an overruled answer would become the label. The images are added to the open query, else they
    are a query of their own. A backup is made before. If the command is killed midway, the class is
    still listed, and the same command completes it.

    Args:
        workspace: Workspace of the classes.
        config: Its configuration; ``query.overlap`` is used.
        name: Class to split.
        into: Names of at least two classes, of which ``name`` may be one; new ones are added.

    Returns:
        The classes, and the number of images that are asked again.

    Raises:
        UsageError: The class does not exist, or ``into`` does not name two or more classes.
        BusyError: A training is running.
    """
    names = [clean_name(each) for each in into]
    if len(set(names)) < max(2, len(names)):
        raise UsageError(
            f"class {name} cannot be split into {', '.join(names)}; name two or more different "
            "classes"
        )
    text = workspace_task(workspace).text
    with (
        workspace.lock("train", doing="splitting a class"),
        open_store(workspace) as store,
    ):
        old = store.class_by_name(name)
        known = {record.name for record in store.classes()}
        store.add_classes(each for each in names if each not in known)
        note = f"class {old.name} was split into {', '.join(names)}"
        labels = store.verdicts().items()
        affected = {i for i, label in labels if label and text.single_class(label) == old.uid}
        withdrawn = [
            ImportedLabel(
                sample_id=answer.sample_id,
                item_id=answer.item_id,
                label=None,
                annotator=answer.annotator,
                kind="undo",
                note=note,
            )
            for answer in store.iter_answers()
            if answer.kind in _ANSWERS
            and (
                answer.item_id in affected
                or (answer.label is not None and text.single_class(answer.label) == old.uid)
            )
        ]
        store.import_labels(withdrawn, session=_session(old.uid))
        asked = _ask_again(workspace, config, store, old.uid, note)
        if old.name not in names:
            store.retire_class(old.uid)
        return listed_classes(store), asked


def undo_split(workspace: Workspace, name: str) -> tuple[list[ListedClass], int]:
    """Restore a class that was split, and its answers that nobody has replaced since.

    The finer classes and the query stay; images whose answer is restored are not asked any more.

    Args:
        workspace: Workspace of the classes.
        name: The class that was split.

    Returns:
        The classes, and the number of restored answers.

    Raises:
        UsageError: No class of this name was split.
    """
    clean = clean_name(name)
    with open_store(workspace) as store:
        history = list(store.events())
        split = {event.session for event in history if event.kind == "import"}
        named = [uid for uid, known in store.class_names().items() if known == clean]
        uid = next((uid for uid in named if _session(uid) in split), None)
        if uid is None:
            raise UsageError(f"no class {name} was split; 'dgaal labels classes' lists the classes")
        if all(record.uid != uid for record in store.classes()):
            store.reinstate_class(uid)
        restored = _withdrawn(
            history, uid, {(a.item_id, a.annotator) for a in store.iter_answers()}
        )
        report = store.import_labels(restored, session=f"undo-{_session(uid)}")
        return listed_classes(store), report.added


def _session(uid: ClassUid) -> str:
    return f"split-{uid}"


def _ask_again(workspace: Workspace, config: Config, store: Store, uid: ClassUid, note: str) -> int:
    """Ask the images whose answers were withdrawn; return their number."""
    session, answered = _session(uid), store.verdicts()
    split = {event.item_id for event in store.events(kind="import") if event.session == session}
    items = [store.item(item_id) for item_id in sorted(split - answered.keys())]
    ids = [item.item_id for item in items if item.state == "ok" and not item.is_synthetic]
    if not ids:
        return 0
    entries = [QueryEntry(item_id=i, rank=rank, reason=note) for rank, i in enumerate(ids, start=1)]
    if store.open_query() is not None:
        store.extend_query(entries)
    else:
        number = round_state(workspace, store).number
        query = Query(round=number, strategy=STRATEGY, model_sha=None, entries=tuple(entries))
        store_query(workspace, config, store, query)
    return len(ids)


def _withdrawn(
    history: Sequence[EventRecord], uid: ClassUid, standing: set[tuple[ItemId, str]]
) -> list[ImportedLabel]:
    """Return the answers that the split of a class withdrew, without replaced ones."""
    of_item: defaultdict[ItemId, list[EventRecord]] = defaultdict(list)
    found: dict[tuple[ItemId, str], EventRecord] = {}
    for event in history:
        before = of_item[event.item_id]
        if event.session == _session(uid):
            answers = fold(map(fact_of, before), need=1).answers
            if fact := answers.get(event.annotator):
                by_id = {each.event_id: each for each in before}
                found[event.item_id, event.annotator] = by_id[fact.event_id]
        before.append(event)
    return [
        ImportedLabel(
            sample_id=event.sample_id,
            item_id=event.item_id,
            label=event.label,
            annotator=event.annotator,
            kind=cast("Verdict", event.says),
            provenance=event.provenance,
            note="the split of its class was undone",
        )
        for key, event in found.items()
        if key not in standing
    ]
