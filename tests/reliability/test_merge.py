"""G30: merged copies of a workspace keep each person's newest answer, in any order of merging."""

import copy
import dataclasses
import io
import itertools
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asked_stores import FakeClock, new_item
from class_labels import as_label, name_of

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.exchange.base import ExportJob
from dgaal_cli.store.exchange.json_lines import JsonLines
from dgaal_cli.store.exchange.resolve import Resolved, resolve
from dgaal_cli.store.instants import from_iso, to_iso, to_microseconds
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import (
    Answer,
    ImportedLabel,
    ImportReport,
    NewSynthetic,
    Query,
    QueryEntry,
)
from dgaal_cli.store.sqlite import answers as answers_module
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.tasks.classification.label import ClassNames

PEOPLE = ("ann", "bob", "eve")
IMAGES = 2
NO_ANSWER = ("skip", "undo", "unflag")
Place = tuple[str, int, bool]
"""Person, image, and whether it is about the flag."""
Value = tuple[str, str | None]
"""Kind and class."""


@dataclass
class Entry:
    """An answer in one host's memory; undo and redo change ``live``."""

    value: Value
    given: int
    live: bool = True


@dataclass
class Known:
    """What one host holds for one place: the newest action, and all answers in local order."""

    stamp: tuple[int, str]
    entries: list[Entry]

    def standing(self, *, is_flag: bool) -> Entry:
        live = [entry for entry in self.entries if entry.live]
        nothing = Entry(("unflag" if is_flag else "undo", None), self.stamp[0])
        return live[-1] if live and live[-1].value[0] not in ("undo", "unflag") else nothing


@dataclass
class Model:
    """What one host must show: dicts and lists, no code of the store."""

    places: dict[Place, Known] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    newest: dict[str, int] = field(default_factory=dict)
    done: dict[str, list[tuple[Place, Entry]]] = field(
        default_factory=lambda: {person: [] for person in PEOPLE}
    )
    undone: dict[str, list[tuple[Place, Entry]]] = field(
        default_factory=lambda: {person: [] for person in PEOPLE}
    )

    def act(self, place: Place, op_id: str, now: int) -> Known:
        """Record that a person acts now: always later than all that this host knows of them."""
        instant = max(now, self.newest.get(place[0], now - 1) + 1)
        self.newest[place[0]] = instant
        self.ids.add(op_id)
        known = self.places.setdefault(place, Known((0, ""), []))
        assert (instant, op_id) > known.stamp  # the true order of one host
        known.stamp = (instant, op_id)
        return known

    def answer(self, place: Place, value: Value, op_id: str, now: int) -> Entry:
        known = self.act(place, op_id, now)
        entry = Entry(value, known.stamp[0])
        known.entries.append(entry)
        return entry

    def value(self, place: Place) -> Value:
        known = self.places.get(place)
        nothing = ("unflag" if place[2] else "undo", None)
        return known.standing(is_flag=place[2]).value if known else nothing

    def merge(self, other: "Model") -> tuple[int, int]:
        """Take over what is newer; return the number of older answers and of conflicts."""
        older = conflicts = 0
        for place, theirs in other.places.items():
            standing = theirs.standing(is_flag=place[2])
            if theirs.stamp[1] in self.ids:
                continue
            ours = self.places.get(place)
            differ = standing.value != self.value(place)
            is_answer = standing.value[0] not in NO_ANSWER
            if ours is None or theirs.stamp > ours.stamp:
                had_answer = self.value(place)[0] not in NO_ANSWER
                conflicts += differ and had_answer
                known = self.places.setdefault(place, Known(theirs.stamp, []))
                known.stamp = theirs.stamp
                known.entries.append(Entry(standing.value, standing.given))
            elif is_answer:
                older += differ
                conflicts += differ
            else:
                continue
            self.ids.add(theirs.stamp[1])
            self.newest[place[0]] = max(self.newest.get(place[0], 0), theirs.stamp[0])
        return older, conflicts

    def lines(self) -> set[tuple[Any, ...]]:
        """Return what an export must show of each place."""
        found: set[tuple[Any, ...]] = set()
        for (person, image, is_flag), known in self.places.items():
            entry = known.standing(is_flag=is_flag)
            given = known.stamp[0] if entry.value[0] in ("undo", "unflag") else entry.given
            changed = None if known.stamp[0] == given else to_iso(known.stamp[0])
            found.add((person, image, *entry.value, to_iso(given), known.stamp[1], changed))
        return found

    def verdicts(self) -> dict[int, str | None]:
        """Return class or None for "cannot tell" of each image with a verdict."""
        found: dict[int, str | None] = {}
        for image in range(1, IMAGES + 1):
            given = [
                (entry.given, person, entry.value)
                for person in PEOPLE
                if (known := self.places.get((person, image, False)))
                and (entry := known.standing(is_flag=False)).value[0] not in NO_ANSWER
            ]
            decisions = sorted(each for each in given if each[2][0] == "adjudicate")
            if decisions:
                found[image] = decisions[-1][2][1]
            elif given:
                votes = [value[1] for _, _, value in sorted(given)]
                found[image] = max(votes, key=votes.count)
        return found


class Host:
    """One copy of the workspace: its store, its clock and its model."""

    def __init__(self, path: Path, name: str, now: float) -> None:
        self.name = name
        self.path = path
        self.clock = FakeClock(now)
        self.model = Model()
        self.actions = 0
        self.store = open_store(path, clock=self.clock)
        self.store.back_up = lambda reason="": path  # type: ignore[method-assign] - for speed

    def copy(self, path: Path) -> "Host":
        """Return an own copy of this host."""
        shutil.copyfile(self.path, path)
        made = Host(path, self.name, self.clock.now)
        made.model = copy.deepcopy(self.model)
        return made

    def next_id(self) -> str:
        self.actions += 1
        return f"{self.name}-{self.actions}"

    def answer(self, person: str, image: int, kind: str, name: str) -> None:
        named = name if kind in ("label", "adjudicate") else None
        uid = self.store.class_by_name(named).uid if named else None
        answer = Answer(op_id=self.next_id(), kind=kind, item_id=ItemId(image), label=as_label(uid))
        receipt = self.store.submit(answer, annotator=person, session="s", take_next=False)
        place = (person, image, kind in ("flag", "unflag"))
        if receipt.is_counted:
            entry = self.model.answer(place, (kind, named), answer.op_id, self.now_us())
        else:  # others finished the image: only in the history
            entry = Entry((kind, named), 0)
            self.model.ids.add(answer.op_id)
            self.model.newest[person] = max(
                self.now_us(), self.model.newest.get(person, self.now_us() - 1) + 1
            )
        self.model.done[person].append((place, entry))
        self.model.undone[person].clear()

    def reverse(self, person: str, says: str) -> None:
        model, op_id = self.model, self.next_id()
        result = getattr(self.store, says)(person, "s", op_id=op_id)
        stacks = (model.done, model.undone) if says == "undo" else (model.undone, model.done)
        if not stacks[0][person]:
            assert result is None
            return
        place, entry = stacks[0][person].pop()
        stacks[1][person].append((place, entry))
        assert (result.item.item_id, result.kind) == (place[1], entry.value[0])
        if result.is_counted:
            model.act(place, op_id, self.now_us())
            entry.live = says == "redo"
        else:
            model.ids.add(op_id)
            model.newest[person] = max(self.now_us(), model.newest[person] + 1)

    def state(self, person: str, image: int, name: str) -> None:
        """Import a label of another program: it is given now."""
        uid = self.store.class_by_name(name).uid
        line = ImportedLabel(
            sample_id=SampleId(f"{image}.png"), label=as_label(uid), annotator=person
        )
        place = (person, image, False)
        report = self.store.import_labels([line])
        if self.model.value(place) == ("label", name):
            assert replace(report, overruled=()) == ImportReport(unchanged=1)
            return
        (event,) = self.store.latest_events(1)
        self.model.answer(place, ("label", name), event.op_id, self.now_us())

    def now_us(self) -> int:
        return to_microseconds(self.clock.now)

    def export(self) -> bytes:
        stream = io.BytesIO()
        job = ExportJob(
            answers=self.store.iter_answers(),
            labels=self.store.effective_answers(),
            withdrawn=self.store.withdrawn(),
            classes=self.store.classes(),
            names=self.store.class_names(),
            text=ClassNames(),
            images=None,  # type: ignore[arg-type] - this format has none
        )
        JsonLines().write(stream, job)
        return stream.getvalue()

    def merge(self, other: "Host") -> ImportReport:
        found = self.resolved(other.export())
        before = self.store.watermark()
        planned = self.store.import_labels(found.labels, is_dry_run=True)
        assert self.store.watermark() == before
        report = self.store.import_labels(found.labels)
        assert report == planned
        older, conflicts = self.model.merge(other.model)
        assert (report.older, len(report.conflicts)) == (older, conflicts)
        for conflict in report.conflicts:
            assert from_iso(conflict.kept.at) >= from_iso(conflict.dropped.at)
        return report

    def resolved(self, exported: bytes, *, may_add_classes: bool = False) -> Resolved:
        """Return the lines of an export of another host, ready to import."""
        path = self.path.with_suffix(".jsonl")
        path.write_bytes(exported)
        return resolve(
            self.store,
            JsonLines().read(path),
            text=ClassNames(),
            annotator="nobody",
            may_add_classes=may_add_classes,
        )

    def take(self, exported: bytes) -> ImportReport:
        """Import an export of another host with its classes, without the model."""
        found = self.resolved(exported, may_add_classes=True)
        report = self.store.import_labels(found.labels, new_classes=found.new_classes)
        return replace(report, unchanged=report.unchanged + found.untouched)

    def labels(self) -> dict[int, str | None]:
        """Return the class of each labeled image."""
        return {label.item_id: name_of(self.store, label) for label in self.store.labels()}

    def check(self) -> None:
        """Compare the store with the model."""
        lines = [json.loads(line) for line in self.export().splitlines()]
        assert {
            (
                *(line["annotator"], int(line["file_name"].removesuffix(".png")), line["kind"]),
                *(line["label"], line["at"], line["op_id"], line["changed"]),
            )
            for line in lines
        } == self.model.lines()
        expected = self.model.verdicts()
        assert self.labels() == {image: name for image, name in expected.items() if name}
        assert self.store.cannot_tell() == {i for i, name in expected.items() if name is None}
        assert self.store.check() == []


@contextmanager
def copies(count: int) -> Iterator[tuple[list[Host], Callable[[Host], Host]]]:
    """Yield some hosts with copies of one store, and a function that copies a host."""
    memory = Path("/dev/shm")
    numbers = itertools.count()
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        ExitStack() as opened,
    ):
        first = Path(folder) / "labels.db"
        with store_location(first).create(clock=FakeClock()) as store:
            for name in ("cat", "dog"):
                store.add_class(name)
            store.add_items(new_item(f"{number}.png") for number in range(1, IMAGES + 1))
            entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, IMAGES + 1))
            query = Query(round=0, strategy="random", model_sha=None, entries=entries)
            store.save_query(query, overlap=2)

        def place() -> Path:
            path = Path(folder) / str(next(numbers)) / "labels.db"
            path.parent.mkdir()
            return path

        def opened_host(host: Host) -> Host:
            opened.callback(host.store.close)
            return host

        hosts: list[Host] = []
        for number in range(count):
            path = place()
            shutil.copyfile(first, path)
            hosts.append(opened_host(Host(path, "abc"[number], FakeClock().now)))
        yield hosts, lambda host: opened_host(host.copy(place()))


def act(rng: random.Random, host: Host) -> None:
    """Let a random person do something, or set the clock of the host."""
    person, image = rng.choice(PEOPLE), rng.randint(1, IMAGES)
    kinds = ("label", "label", "label", "cannot_tell", "skip", "flag", "unflag", "adjudicate")
    chosen = rng.random()
    if chosen < 0.5:
        host.answer(person, image, rng.choice(kinds), rng.choice(("cat", "dog")))
    elif chosen < 0.75:
        host.reverse(person, rng.choice(("undo", "undo", "redo")))
    elif chosen < 0.85:
        host.state(person, image, rng.choice(("cat", "dog")))
    else:
        host.clock.now += rng.choice((-400 * 86_400, -5.0, 0.5, 60.0, 400 * 86_400))


def run_case(seed: int, *, steps: int) -> None:
    """Act and merge at random on three hosts; then every order of merging must agree."""
    sys.stdout.write(f"run_case({seed}, steps={steps})\n")
    rng = random.Random(seed)
    with copies(3) as (hosts, copied):
        for _ in range(steps):
            host = rng.choice(hosts)
            if rng.random() < 0.12:
                host.merge(rng.choice([other for other in hosts if other is not host]))
            else:
                act(rng, host)
        for host in hosts:
            host.check()
        a, b, c = hosts
        left, right = copied(a), copied(b)
        left.merge(b)
        right.merge(c)
        a_then_bc, c_then_ab = copied(a), copied(c)
        a_then_bc.merge(right)
        left.merge(c)
        c_then_ab.merge(left)
        merged = (left, a_then_bc, c_then_ab)
        for host in merged:
            host.check()
        assert len({tuple(sorted(host.export().splitlines())) for host in merged}) == 1
        before = left.store.watermark()
        for other in (a, b, c, a_then_bc):
            report = left.merge(other)
            assert (report.added, report.replaced, report.older) == (0, 0, 0)
        assert left.store.watermark() == before


def run_cases(seed: int, *, cases: int, steps: int) -> None:
    for number in range(seed, seed + cases):
        run_case(number, steps=steps)


@pytest.mark.parametrize(
    ("cases", "steps"),
    [
        (4, 15),
        pytest.param(100, 30, marks=pytest.mark.slow),
        pytest.param(3000, 30, marks=pytest.mark.deep),
    ],
)
def test_merged_copies_agree_with_the_model(seed: int, cases: int, steps: int):
    run_cases(seed, cases=cases, steps=steps)
    sys.stdout.write(f"{cases} cases of {steps} steps, no divergence\n")


def test_copy_is_merged_after_its_class_was_removed_here():
    with copies(1) as ((host,), copied):
        host.answer("ann", 1, "label", "cat")
        other = copied(host)
        other.name = "b"
        host.clock.now += 10
        host.answer("ann", 1, "label", "dog")
        host.store.retire_class(host.store.class_by_name("cat").uid)
        other.answer("bob", 2, "label", "dog")
        report = host.take(other.export())
        assert (report.added, report.unchanged) == (1, 1)
        assert host.labels() == {1: "dog", 2: "dog"}


@pytest.mark.parametrize("renaming", [0, 1])
def test_copies_are_merged_again_after_a_class_of_both_was_renamed_in_one(renaming: int):
    with copies(2) as (hosts, _):
        uids = [host.store.add_class("zebra").uid for host in hosts]
        here, other = hosts
        other.answer("ann", 1, "label", "zebra")
        assert here.take(other.export()).added == 1
        hosts[renaming].store.rename_class(uids[renaming], "okapi")
        other.answer("ann", 2, "label", "dog")
        report = here.take(other.export())
        assert (report.added, report.unchanged) == (1, 1)
        assert here.labels() == {1: "zebra" if renaming else "okapi", 2: "dog"}


def test_joined_exports_are_merged_like_single_ones():
    with copies(3) as ((joined, single, other), _):
        for host, name in ((single, "cat"), (joined, "dog"), (other, "cat")):
            host.clock.now += {"cat": 10, "dog": 20}[name] + 20 * (host is other)
            host.answer("ann", 1, "label", name)
        report = joined.take(single.export() + other.export())
        assert (report.older, report.replaced) == (1, 1)
        assert joined.labels() == {1: "cat"}


def synthetic_image(content: str) -> NewSynthetic:
    image = new_item("synthetic/0/x.png", content)
    return NewSynthetic(
        sample_id=image.sample_id,
        sha256=image.sha256,
        size_bytes=1,
        width=2,
        height=3,
        parent=None,
        round=0,
        inherited=None,
        is_quarantined=False,
    )


@pytest.mark.parametrize("has_own", [False, True])
def test_answers_to_synthetic_images_of_another_copy_do_not_stop_a_merge(has_own: bool):
    with copies(2) as ((here, other), _):
        if has_own:
            here.store.add_synthetic([synthetic_image("made here")])
        (synthetic,) = other.store.add_synthetic([synthetic_image("made there")])
        other.answer("ann", synthetic, "label", "cat")
        other.answer("ann", 2, "label", "dog")
        assert here.resolved(other.export()).left_out == 1
        assert here.take(other.export()).added == 1
        assert here.labels() == {2: "dog"}


def imported_line_always_wins(patch: pytest.MonkeyPatch) -> None:
    read = JsonLines.read

    def read_without_ids(self: JsonLines, path: Path) -> Iterator[Any]:
        for line in read(self, path):
            yield msgspec.structs.replace(line, op_id=None, changed=None)

    patch.setattr(JsonLines, "read", read_without_ids)


def wall_clock_alone(patch: pytest.MonkeyPatch) -> None:
    append_all = answers_module.append_all

    def append_at_wall_time(connection: Any, new: Any) -> None:
        dated = [
            (dataclasses.replace(event, at_us=to_microseconds(operator.now)), operator)
            for event, operator in new
        ]
        append_all(connection, dated)

    patch.setattr(answers_module, "append_all", append_at_wall_time)


def undone_answers_are_not_exported(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SqliteStore, "withdrawn", lambda self: [])


@pytest.mark.parametrize(
    "broken", [imported_line_always_wins, wall_clock_alone, undone_answers_are_not_exported]
)
def test_control_broken_merge_is_caught(seed: int, monkeypatch: pytest.MonkeyPatch, broken: Any):
    broken(monkeypatch)
    monkeypatch.setattr(Host, "check", lambda self: None)  # the model knows times, merging must not
    with pytest.raises(AssertionError):
        run_cases(seed, cases=40, steps=30)
