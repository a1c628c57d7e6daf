"""What happens to a command: each function makes one fault happen to a command of a family.

They return whether the fault happened, and leave the world whole.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from month import families
from month.families import stated
from month.forks import Conversation, Ended, Plan, ended
from month.model import Event, State
from month.sentences import files_of
from month.terminal import answered, turns
from month.world import ERRORS, IMAGES, PEOPLE, Command, World, image

if TYPE_CHECKING:
    from month.simulation import Month

DAY_S = 86_400.0
STORE_HARMS = ("deleted", "emptied", "halved", "overwritten")
"""Harms after which the store cannot be read."""


def kill(month: "Month", family: str) -> bool:
    """SIGKILL before one of the command's calls on files."""
    command = month.make(family)
    done = month.do(command, Plan(action="kill", at=month.world.some_call(command)))
    return bool(done.hit)


def failing_disk(month: "Month", family: str) -> bool:
    """The disk is full, or fails, at one call or from one call on."""
    rng, command = month.world.rng, month.make(family)
    action = rng.choice(["fail", "fail on"])
    plan = Plan(action=action, at=month.world.some_call(command), error=rng.choice(ERRORS))
    return bool(month.do(command, plan).hit)


def clock(month: "Month", family: str) -> bool:
    """The clock is set, by hours to years, before or during the command; or the host reboots."""
    world, rng = month.world, month.world.rng
    command = month.make(family)
    jump = rng.choice((-1, 1)) * rng.choice((1 / 24, 1.0, 30.0, 400.0, 3000.0)) * DAY_S
    when = rng.choice(["before", "during", "reboot"])
    if when == "during":
        plan = Plan(action="jump", at=world.some_call(command), jump_s=jump)
        is_hit = bool(month.do(command, plan).hit)
        world.clock.set(jump if is_hit else 0)
        return is_hit
    if when == "reboot":
        world.clock.reboot()
    else:
        world.clock.set(jump)
    world.log.append(f"clock: {when} {jump / DAY_S:.1f} days")
    month.do(command)
    return True


def second_command(month: "Month", family: str) -> bool:
    """Another command is stopped at one of its calls while this one runs, then goes on."""
    world, rng = month.world, month.world.rng
    command = month.make(family)
    other = rng.choice([families.session, families.import_table, families.backup])
    first = (
        families.session(world, "answers", ["x", rng.choice(world.state.classes)[1]])
        if other is families.session
        else other(world)
    )
    before = world.state
    job = world.job(first, Plan(action="stop", at=world.some_call(first)), slot=1)
    child = world.workers.light.start(job)
    code = world.workers.light.wait_for_stop(child, job)
    stopped = ended(job, code)
    world.log.append(f"{' '.join(first.argv)} {first.typed} stopped: {stopped.where}")
    month.settle(first, before, stopped, plan=Plan())
    done_before = world.state
    if code is not None:
        first.clean()
        return False
    files = files_of(world.box)
    done = world.run(command)
    month.settle(command, world.state, done, plan=Plan(), files=files, holder=child)
    command.clean()
    _check_place(month, first, command, stopped, done)
    os.kill(child, signal.SIGCONT)
    finished = ended(job, world.workers.light.wait(child))
    world.log.append(f"it went on -> {finished.code} {finished.out[-60:]!r}")
    rest = _rest(first, before, done_before, finished)
    month.older = [before, done_before]
    is_restored = family == "restore" and done.code == 0
    month.settle(rest, world.state, finished, plan=Plan(), is_restored=is_restored)
    month.older = []
    first.clean()
    return True


def _check_place(
    month: "Month", first: Command, command: Command, stopped: Ended, done: Ended
) -> None:
    """Check that an open terminal keeps its annotator's place and its store."""
    is_open = bool(turns(stopped.out))
    is_same = command.argv[0] == "label" and command.argv[-1] == first.argv[-1]
    if is_open and (is_same or command.family == "restore") and done.code != 6:
        month.fail(f"{' '.join(command.argv)} beside an open terminal: exit {done.code}")


def _rest(first: Command, before: State, then: State, finished: Ended) -> Command:
    """Return the part of a command that was still to come when it was stopped."""

    def outcomes(now: State, _: Ended) -> list[State]:
        count = len(then.events)
        late = [state.events[count:] for state in first.outcomes(before, finished)]
        return [now.plus(*(replace(e, counted=None) for e in events)) for events in late]

    return replace(first, outcomes=outcomes, verify=lambda *_: "")


# Harm from outside


@contextmanager
def _moved(path: Path, to: Path):
    path.rename(to)
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        to.rename(path)


def outside(month: "Month", family: str) -> bool:
    """A file is deleted, cut, replaced or made unreadable between two commands, and put back."""
    world = month.world
    harm = world.rng.choice(list(HARMS))
    journal = world.store.with_name(f"{world.store.name}-journal")
    if journal.exists() and journal.stat().st_size:  # else SQLite would repair what is harmed
        month.do(Command(family="read-only", argv=("labels", "check")))
    world.harm = harm
    world.log.append(f"outside: {harm}")
    HARMS[harm](month, family)
    world.harm = ""
    return True


def _harmed_store(month: "Month", family: str, content: bytes | None) -> None:
    """Run a command while the store is gone or has another content, then put it back."""
    world = month.world
    command = month.make(family)
    before, whole = world.state, world.store.read_bytes()
    if content is None:
        world.store.unlink()
    else:
        world.store.write_bytes(content)
    files = files_of(world.box)
    done = world.run(command)
    found = world.observe()
    is_restored = family == "restore" and done.code == 0
    if not is_restored:
        unchanged = (world.store.read_bytes() if world.store.exists() else None) == content
        if not unchanged:
            month.fail(f"{' '.join(command.argv)} changed a damaged store: {found.problem}")
    month.settle(command, before, done, plan=Plan(), files=files)
    command.clean()
    if not is_restored:
        world.store.write_bytes(whole)


def _deleted(month: "Month", family: str) -> None:
    _harmed_store(month, family, None)


def _emptied(month: "Month", family: str) -> None:
    _harmed_store(month, family, b"")


def _halved(month: "Month", family: str) -> None:
    content = month.world.store.read_bytes()
    _harmed_store(month, family, content[: len(content) // 2 // 4096 * 4096 + 100])


def _overwritten(month: "Month", family: str) -> None:
    content = bytearray(month.world.store.read_bytes())
    content[100:4000] = b"\xff" * 3900
    _harmed_store(month, family, bytes(content))


def _older(month: "Month", family: str) -> None:
    """An older copy of the store is put in its place; later answers are gone."""
    world = month.world
    command = month.make(family)
    copies = sorted((world.root / "backups").glob("labels-*.db"))
    if copies:
        copy = world.rng.choice(copies)
        world.store.write_bytes(copy.read_bytes())
        world.state = world.backups[copy.name][0]
        world.log.append(f"the store is replaced by {copy.name}")
    command.clean()
    month.do(month.make(family))


def _denied(month: "Month", family: str) -> None:
    command = month.make(family)
    month.do(command, Plan(denied="/labels.db"))


def _spoiled(month: "Month", family: str) -> None:
    world = month.world
    path = world.root / "dgaal.toml"
    text, command = path.read_text(), month.make(family)
    line = world.rng.choice(
        ("seed = -1", 'method = "nope"', "= 3", 'query.size = "many"', "label.class_keys = 11")
    )
    path.write_text(f"{line}\n{text}")
    try:
        month.do(command)
    finally:
        path.write_text(text)


def _without(name: str) -> "Callable[[Month, str], None]":
    """Return a harm that moves a file or folder of the workspace away for one command."""

    def harm(month: "Month", family: str) -> None:
        command = month.make(family)
        path = month.world.root / name
        if not path.exists():
            month.do(command)
            return
        with _moved(path, month.world.box / "aside"):
            month.do(command)

    return harm


def _without_pool(month: "Month", family: str) -> None:
    command = month.make(family)
    with _moved(month.world.pool, month.world.pool.with_name("aside")):
        month.do(command)


def _image_changed(month: "Month", family: str) -> None:
    command = month.make(family)
    path = month.world.pool / image(month.world.rng.randrange(IMAGES))
    content = path.read_bytes()
    path.write_bytes(content[:40])
    try:
        month.do(command)
    finally:
        path.write_bytes(content)


HARMS: "dict[str, Callable[[Month, str], None]]" = {
    "deleted": _deleted,
    "emptied": _emptied,
    "halved": _halved,
    "overwritten": _overwritten,
    "older": _older,
    "denied": _denied,
    "spoiled configuration": _spoiled,
    "no configuration": _without("dgaal.toml"),
    "no pool": _without_pool,
    "no rounds": _without("rounds"),
    "no locks": _without(".locks"),
    "no artifacts": _without("artifacts"),
    "no backups": _without("backups"),
    "image changed": _image_changed,
}
"""What is done from outside."""


# Tables


def merged_copies(month: "Month", family: str) -> bool:
    """The workspace is copied to another host, both go on, and each copy is imported by the other.

    The command runs on the other host, whose clock is another one.
    """
    world = month.world
    with _other_host(month) as other:
        other.prepare(family)
        other.do(other.make(family))
        if world.observe().left:
            month.do(month.make("answers"))
        if other.world.observe().left:
            other.do(other.make("undo"))
        _merge(month, other.world, range(1 << 30))
        if world.rng.random() < 0.5:
            _merge(other, world, range(1 << 30))
            mine, theirs = _said(world.state, other.world), _said(other.world.state, world)
            if mine != theirs:
                month.fail(f"merged copies differ: {mine - theirs} and {theirs - mine}")
    return True


def _said(state: State, other: World) -> set[tuple[str, str, str, str | None]]:
    """Return what each person says; a class that only one copy has is compared by its name."""
    shared = dict((*other.state.classes, *other.state.retired))
    return {
        (e.image, e.person, e.says, e.uid if e.uid in shared else state.name(e.uid))
        for e in state.lines()
    }


@contextmanager
def _other_host(month: "Month") -> "Iterator[Month]":
    world = month.world
    folder = world.box.parent / "other"
    shift = world.rng.choice((-400.0, -1.0, 0.0, 0.01, 30.0)) * DAY_S
    shifted = replace(world.clock, folder=folder, wall_s=world.clock.wall_s + shift)
    world.log.append(f"copy to another host, whose clock is {shift / DAY_S} days off")
    copy = world.copy_to(folder / "box", clock=shifted)
    yield replace(month, world=copy)
    shutil.rmtree(folder)


def _merge(month: "Month", source: World, kept: Collection[int], *, cut: int = 0) -> None:
    """Import the export of a copy, of which only some lines arrive, the last one cut short."""
    path = source.fresh(".jsonl")
    export = Command(family="labels export", argv=("labels", "export", "-o", str(path)))
    source.run(export)
    lines = path.read_text().splitlines(keepends=True)
    chosen = [number for number in range(len(lines)) if number in kept]
    text = "".join(lines[number] for number in chosen)
    path.write_text(text[: len(text) - cut])
    given = [source.state.lines()[number] for number in chosen]
    names = dict((*source.state.classes, *source.state.retired))

    month.do(_import_of(path, given, names))
    path.unlink()


def _import_of(path: Path, lines: list[Event], names: dict[str, str]) -> Command:
    """Return the import of some lines of a copy, whose classes have ``names``."""

    def outcomes(before: State, done: Ended) -> list[State]:
        return [before] if done.code else [before.merged(lines, names)]

    argv = ("labels", "import", str(path), "--add-classes")
    return Command(family="import", argv=argv, outcomes=outcomes)


def lost_lines(month: "Month", family: str) -> bool:
    """A table loses lines, or its end, on its way to ``labels import``."""
    world, rng = month.world, month.world.rng
    if rng.random() < 0.5:
        with _other_host(month) as other:
            other.do(other.make("answers"))
            count = len(other.world.state.lines())
            kept = rng.sample(range(count), rng.randint(1, count))
            cut = rng.choice((0, rng.randint(2, 100)))
            world.harm = "cut table" if cut else ""
            _merge(month, other.world, kept, cut=cut)
            world.harm = ""
        return True
    person, path = rng.choice(PEOPLE), world.fresh(".csv")
    images = rng.sample([image(n) for n in range(IMAGES)], 6)
    rows = [(asked, *rng.choice(world.state.classes)) for asked in images]
    lines = [f"{asked},{name}\n" for asked, _, name in rows]
    kept = sorted(rng.sample(range(6), rng.randint(0, 5)))
    text = "file_name,label\n" + "".join(lines[n] for n in kept)
    is_cut = rng.random() < 0.5 and bool(kept)
    if is_cut:
        text = text[: -rng.randint(2, len(lines[kept[-1]]) - 1)]
    path.write_text(text)
    whole = [(rows[n][0], rows[n][1]) for n in kept]
    cut = whole[:-1] if is_cut else whole

    def outcomes(before: State, done: Ended) -> list[State]:
        if done.code:
            return [before]
        return [stated(before, person, cut), stated(before, person, whole)]

    world.harm = "cut table" if is_cut else ""
    argv = ("labels", "import", str(path), "--annotator", person)
    done = month.do(Command(family="import", argv=argv, outcomes=outcomes))
    world.harm = ""
    path.unlink()
    return done.code is not None


def open_session(month: "Month", family: str) -> bool:
    """The store is harmed while a terminal is open; its answers must be in the store or rescued."""
    world, rng = month.world, month.world.rng
    before = world.state
    command = month.make(family)
    person, words = command.argv[-1], [*command.typed, "x"]
    talk = Conversation(world.workers.light, world.job(command, slot=1))
    talk.listen("class?")
    count = rng.randint(1, len(words) - 1)
    for word in words[:count]:
        talk.say(word)
        talk.listen("class?")
    month.compare(answered(before, person, words[:count], talk.heard), world.observe(), command)
    if not talk.heard.endswith("class?\n"):  # there was nothing more to answer
        talk.end()
        return False
    whole, harm = world.store.read_bytes(), rng.choice(list(OPEN_HARMS))
    world.log.append(f"{' '.join(command.argv)} {words[:count]}, then {harm}")
    OPEN_HARMS[harm](world)
    for word in words[count:]:
        talk.say(word)
    done = talk.end()
    world.log.append(f"{words[count:]} -> {done.code} {(done.err or done.out)[-300:]!r}")
    own = {event.op for event in world.state.events[len(before.events) :]}
    lines = [line for line in world.state.lines() if line.op in own]
    _check_rescue(month, lines, done)
    world.store.with_name(f"{world.store.name}-journal").unlink(missing_ok=True)
    world.store.write_bytes(whole)
    if rng.random() < 0.5:
        month.do(month.make("restore"))
    for path in sorted(world.root.glob("labels-rescued-*.jsonl")):
        order = [json.loads(line)["op_id"] for line in path.read_text().splitlines()]
        rescued = sorted((e for e in lines if e.op in order), key=lambda e: order.index(e.op))
        names = dict((*world.state.classes, *before.classes))

        month.do(_import_of(path, rescued, names))
        path.unlink()
    return True


def _check_rescue(month: "Month", lines: list[Event], done: Ended) -> None:
    """Check that what the session acknowledged is in the store or in a rescue file."""
    world = month.world
    stored = {event.op for event in world.observe().state.events}
    rescued = [
        (line["file_name"], line["annotator"], line["kind"], line["class_uid"], line["op_id"])
        for path in world.root.glob("labels-rescued-*.jsonl")
        for line in map(json.loads, path.read_text().splitlines())
    ]
    lost = [line for line in lines if line.op not in stored]
    expected = [(line.image, line.person, line.says, line.uid, line.op) for line in lost]
    if sorted(rescued) != sorted(expected):
        month.fail(f"rescued are {rescued}, lost were {expected}; {done.out[-300:]} {done.err}")
    said = done.out + done.err
    if lost and ("labels-rescued-" not in said or done.code != 4):
        month.fail(f"{len(lost)} answers are gone, exit {done.code}: {said[-600:]}")
    if "everything is saved" in said and lost:
        month.fail(f"{len(lost)} answers are gone, but: {said[-600:]}")


def _replace_by_rename(world: World) -> None:
    copy = world.store.with_name("copy")
    copy.write_bytes(world.store.read_bytes())
    copy.rename(world.store)


def _overwrite_by_older(world: World) -> None:
    copies = sorted((world.root / "backups").glob("labels-*.db"))
    world.store.write_bytes(copies[0].read_bytes() if copies else b"")


OPEN_HARMS: dict[str, Callable[[World], object]] = {
    "deleted": lambda world: world.store.unlink(),
    "emptied": lambda world: world.store.write_bytes(b""),
    "halved": lambda world: os.truncate(world.store, world.store.stat().st_size // 2),
    "replaced by a copy": _replace_by_rename,
    "overwritten by an older copy": _overwrite_by_older,
}
"""What is done to the store while a terminal is open."""
KINDS: "dict[str, Callable[[Month, str], bool]]" = {
    "kill": kill,
    "failing disk": failing_disk,
    "clock": clock,
    "second command": second_command,
    "outside": outside,
    "merged copies": merged_copies,
    "open session": open_session,
    "lost lines": lost_lines,
}
"""How to make a fault of each kind happen."""
ONLY = {"lost lines": ("import",), "open session": ("answers", "undo")}
"""Families of kinds that not every family can meet."""
WHY_ONLY = {
    "lost lines": "only 'labels import' reads a table of labels",
    "open session": "the other commands end by themselves",
}
"""Why the other families cannot meet a kind."""


def pairs(chosen: "list[str] | tuple[str, ...]") -> list[tuple[str, str]]:
    """Return every kind with every family among ``chosen`` that can meet it."""
    return [(k, f) for k in KINDS for f in chosen if f in ONLY.get(k, chosen)]
