"""G5: the store agrees with a simple model for any order of answers, undos, retries and crashes."""

import hashlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asked_stores import FakeClock
from class_labels import as_label, name_of
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dgaal_cli.ids import ItemId
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import Answer, NewItem, Query, QueryEntry
from dgaal_cli.store.sqlite import answers as answers_module
from dgaal_cli.store.sqlite.connection import Connection, LeaseTime

PEOPLE = ("ann", "bob", "eve")
NAMES = ("a.png", "\udcff.png", "new\nline", "[/red]")
LEASE_S = 10.0
FINISHING = ("label", "cannot_tell", "adjudicate")


@dataclass
class ModelAnswer:
    """One answer in the model."""

    number: int
    item: int
    person: str
    kind: str
    cls: str | None
    counted: bool
    at: int
    """Microseconds; a person's events never go back in time."""
    live: bool = True


@dataclass
class Model:
    """The expected state of the store, computed in the simplest way."""

    need: int
    answers: list[ModelAnswer] = field(default_factory=list)
    done: dict[str, list[ModelAnswer]] = field(default_factory=lambda: {p: [] for p in PEOPLE})
    undone: dict[str, list[ModelAnswer]] = field(default_factory=lambda: {p: [] for p in PEOPLE})
    leases: dict[str, tuple[int, float]] = field(default_factory=dict)
    events: int = 0
    newest: dict[str, int] = field(default_factory=dict)

    def date(self, person: str, now: float) -> int:
        """Return the time of a person's next event."""
        instant = round(now * 1_000_000)
        self.newest[person] = max(instant, self.newest.get(person, instant - 1) + 1)
        return self.newest[person]

    def current(self, person: str, item: int) -> ModelAnswer | None:
        own = [
            a
            for a in self.answers
            if a.person == person
            and a.item == item
            and a.live
            and a.counted
            and a.kind not in ("flag", "unflag")
        ]
        return max(own, key=lambda a: a.number) if own else None

    def finished(self, item: int) -> int:
        found = [a for p in PEOPLE if (a := self.current(p, item)) and a.kind in FINISHING]
        if any(a.kind == "adjudicate" for a in found):
            return max(self.need, len(found))
        return len(found)

    def flagged(self, person: str, item: int) -> bool:
        own = [
            a
            for a in self.answers
            if a.person == person and a.item == item and a.live and a.kind in ("flag", "unflag")
        ]
        return bool(own) and own[-1].kind == "flag"

    def order(self, person: str, now: float) -> list[int]:
        waiting: list[tuple[int, int]] = []
        for item in range(1, len(NAMES) + 1):
            own_answer = self.current(person, item)
            if own_answer is not None and own_answer.kind != "skip":
                continue
            held = sum(
                i == item and until > now for p, (i, until) in self.leases.items() if p != person
            )
            if self.finished(item) + held < self.need:
                waiting.append((own_answer.number if own_answer else 0, item))
        return [item for _, item in sorted(waiting)]

    def take(self, person: str, now: float, only: int | None = None) -> int | None:
        self.leases.pop(person, None)
        found = [item for item in self.order(person, now) if only in (None, item)]
        if not found:
            return None
        self.leases[person] = (found[0], now + LEASE_S)
        return found[0]

    def verdict(self, item: int) -> ModelAnswer | None:
        given = [a for p in PEOPLE if (a := self.current(p, item)) and a.kind in FINISHING]
        adjudications = [a for a in given if a.kind == "adjudicate"]
        if adjudications:
            return max(adjudications, key=lambda a: (a.at, a.person))
        best: ModelAnswer | None = None
        best_votes = 0
        for entry in sorted(given, key=lambda a: (a.at, a.person)):
            votes = sum(other.cls == entry.cls for other in given)
            if votes > best_votes:
                best, best_votes = entry, votes
        return best


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # In memory where possible: this tests order, not durability.
        memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self.folder.name) / "labels.db"
        self.clock = FakeClock()
        self.last: tuple[Answer, str, int, bool] | None = None
        self.tasks: dict[str, object] = {}
        self.crashed: list[Any] = []

    @initialize(need=st.integers(1, 2))
    def start(self, need: int) -> None:
        self.store = store_location(self.path).create(clock=self.clock)
        self.reopen()
        self.classes = {name: self.store.add_class(name).uid for name in ("cat", "dog")}
        self.store.add_items(
            NewItem(
                sample_id=name,
                sha256=hashlib.sha256(bytes([index])).digest(),
                size_bytes=1,
                width=8,
                height=8,
            )
            for index, name in enumerate(NAMES)
        )
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, len(NAMES) + 1))
        query = Query(round=0, strategy="random", model_sha=None, entries=entries)
        self.store.save_query(query, overlap=need)
        self.model = Model(need=need)

    @rule(person=st.sampled_from(PEOPLE))
    def take(self, person: str) -> None:
        task = self.store.next_task(person, "s")
        assert (task and task.item.item_id) == self.model.take(person, self.clock.uptime)
        self.tasks[person] = task
        if task is not None:
            assert task.item.sample_id == NAMES[task.item.item_id - 1]
            assert task.flagged == self.model.flagged(person, task.item.item_id)

    @rule(
        person=st.sampled_from(PEOPLE),
        item=st.integers(0, len(NAMES)),
        kind=st.sampled_from(
            ["label", "label", "cannot_tell", "skip", "flag", "unflag", "adjudicate"]
        ),
        cls=st.sampled_from(["cat", "dog"]),
    )
    def submit(self, person: str, item: int, kind: str, cls: str) -> None:
        task = self.tasks.get(person)
        if item == 0:  # the image on the screen
            if task is None:
                return
            item = task.item.item_id
        lease = task.lease if task is not None and task.item.item_id == item else None
        self.model.events += 1
        has_class = kind in ("label", "adjudicate")
        answer = Answer(
            op_id=f"op{self.model.events}",
            kind=kind,
            item_id=ItemId(item),
            label=as_label(self.classes[cls] if has_class else None),
        )
        model = self.model
        held = model.leases.get(person)
        is_mine = (
            lease is not None
            and held is not None
            and held[0] == item
            and held[1] > self.clock.uptime
        )
        is_mine = is_mine and lease.expires == held[1]
        own_answer = model.current(person, item)
        counted = (
            kind in ("flag", "unflag", "adjudicate")
            or is_mine
            or model.finished(item) < model.need
            or (own_answer is not None and own_answer.kind != "skip")
        )
        at = model.date(person, self.clock.now)
        named = cls if has_class else None
        entry = ModelAnswer(model.events, item, person, kind, named, counted, at)
        model.answers.append(entry)
        model.done[person].append(entry)
        model.undone[person].clear()
        receipt = self.store.submit(answer, annotator=person, session="s", lease=lease)
        assert (receipt.event_id, receipt.is_counted) == (model.events, counted)
        self.last = (answer, person, receipt.event_id, counted)
        same = item if kind in ("flag", "unflag") else None
        expected = model.take(person, self.clock.uptime, same) or model.take(
            person, self.clock.uptime
        )
        assert (receipt.next_task and receipt.next_task.item.item_id) == expected
        self.tasks[person] = receipt.next_task

    @precondition(lambda self: self.last is not None)
    @rule()
    def retry(self) -> None:
        answer, person, event_id, counted = self.last
        receipt = self.store.submit(answer, annotator=person, session="s", take_next=False)
        assert (receipt.event_id, receipt.is_counted) == (event_id, counted)

    @rule(person=st.sampled_from(PEOPLE), action=st.sampled_from(["undo", "undo", "redo"]))
    def reverse(self, person: str, action: str) -> None:
        model = self.model
        source, target = (
            (model.done, model.undone) if action == "undo" else (model.undone, model.done)
        )
        result = getattr(self.store, action)(person, "s")
        if not source[person]:
            assert result is None
            return
        entry = source[person].pop()
        target[person].append(entry)
        model.events += 1
        model.date(person, self.clock.now)
        own_answer = model.current(person, entry.item)
        counted = (
            action == "undo"
            or entry.kind in ("flag", "unflag", "adjudicate")
            or model.finished(entry.item) < model.need
            or (own_answer is not None and own_answer.kind != "skip")
        )
        if counted:
            entry.live = action == "redo"
        assert (result.item.item_id, result.kind) == (entry.item, entry.kind)
        assert (result.event_id, result.is_counted) == (model.events, counted)
        only = entry.item if action == "undo" or entry.kind in ("flag", "unflag") else None
        expected = model.take(person, self.clock.uptime, only) if only else None
        expected = expected or model.take(person, self.clock.uptime)
        assert (result.task and result.task.item.item_id) == expected
        self.tasks[person] = result.task

    @rule(seconds=st.sampled_from([1.0, 9.5, 10.5, 500.0]))
    def wait(self, seconds: float) -> None:
        self.clock.wait(seconds)

    @rule(days=st.sampled_from([-400, 400]))
    def set_the_clock(self, days: int) -> None:
        self.clock.now += days * 86_400

    @rule()
    def reboot(self) -> None:
        self.clock.boot, self.clock.uptime = self.clock.boot + "+", 30.0
        self.model.leases.clear()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.path, clock=self.clock, lease_s=LEASE_S)

    @rule()
    def crash(self) -> None:
        self.crashed.append(
            self.store
        )  # its connection stays open, like the file of a killed process
        self.store = open_store(self.path, clock=self.clock, lease_s=LEASE_S)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        model, store = self.model, self.store
        expected = {n: model.verdict(n) for n in range(1, len(NAMES) + 1)}
        names = {label.item_id: name_of(store, label) for label in store.labels()}
        assert names == {n: entry.cls for n, entry in expected.items() if entry and entry.cls}
        assert store.cannot_tell() == {
            n for n, entry in expected.items() if entry and not entry.cls
        }
        assert store.watermark() == model.events
        assert store.check() == []
        for person in PEOPLE:
            ahead = [u.item.item_id for u in store.upcoming(person, 9)]
            assert ahead == model.order(person, self.clock.uptime)
        flagged = {i for i in expected for person in PEOPLE if model.flagged(person, i)}
        assert {item.item_id for item in store.flagged()} == flagged
        assert store.labels(watermark=model.events) == store.labels()

    def teardown(self) -> None:
        if hasattr(self, "model"):
            assert self.store.rebuild() == 0
        for store in (*self.crashed, *([self.store] if hasattr(self, "store") else [])):
            store.close()
        self.folder.cleanup()


COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


@pytest.mark.parametrize(
    ("runs", "steps"),
    [
        (12, 30),
        pytest.param(40, 30, marks=pytest.mark.slow),
        pytest.param(500, 50, marks=pytest.mark.deep),
    ],
)
def test_store_agrees_with_its_model(seed: int, runs: int, steps: int):
    machine = seeded(seed)(StoreMachine)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=runs, stateful_step_count=steps, **COMMON)
    )
    sys.stdout.write(f"{runs} runs of {steps} steps, no divergence\n")


def wall_clock(self: Connection) -> LeaseTime:
    now = self.clock()
    return LeaseTime(boot="", now=now, latest=float("inf"))


def boot_clock_alone(self: Connection) -> LeaseTime:
    return LeaseTime(boot="", now=self.clock.since_boot()[1], latest=float("inf"))


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (answers_module, "_is_counted", lambda *_, **__: True),
        (Connection, "lease_time", wall_clock),
        (Connection, "lease_time", boot_clock_alone),
    ],
    ids=["late answers count", "leases by the wall clock", "leases survive a boot"],
)
def test_control_broken_store_is_caught(monkeypatch, owner, name, broken):
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            StoreMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=30,
                database=None,
                phases=[Phase.generate],  # shrinking would only cost time
                print_blob=False,
                **COMMON,
            ),
        )
