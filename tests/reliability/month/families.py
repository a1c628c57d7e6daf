"""The commands, in families: how to make one, what it may leave, and what it must print."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from month import tables
from month.forks import Ended
from month.model import Event, State
from month.reader import Reading
from month.terminal import answered
from month.world import IMAGES, PEOPLE, Command, World, image

QUICK = ("--set", "classifier.steps=2", "--set", "classifier.semi_supervised=none")
ON_ONE = ("--device", "cpu", "--threads", "1")


def init(world: World) -> Command:
    """Create another workspace beside this one."""
    folder = world.fresh()

    def verify(done: Ended, _: Reading) -> str:
        if not (folder / "dgaal.toml").is_file() or not (folder / "labels.db").is_file():
            return "init made no workspace"
        return "" if f"{IMAGES} images, 0 labels" in done.out else "init counts other images"

    return Command(
        family="init",
        argv=("init", str(folder), "--pool", str(world.pool), "--classes", "cat,dog"),
        verify=verify,
        clean=lambda: shutil.rmtree(folder, ignore_errors=True),
    )


def answers(world: World) -> Command:
    """Answer, skip and flag images in the plain terminal."""
    names = [name for _, name in world.state.classes]
    words = [world.rng.choice([*names, *names, "x", "s", "f"]) for _ in range(3)]
    if world.rng.random() < 0.1:
        words.append(f"+{_new_name(world)}")
    return session(world, "answers", words)


def undo(world: World) -> Command:
    """Answer an image, take answers back and restore them."""
    names = [name for _, name in world.state.classes]
    words = world.rng.choices(["u", "u", "redo", world.rng.choice(names)], k=3)
    return session(world, "undo", [world.rng.choice(names), *words])


def session(world: World, family: str, words: list[str]) -> Command:
    """Return a session of the plain terminal in which a person types ``words``."""
    person = world.rng.choice(PEOPLE)
    return Command(
        family=family,
        argv=("label", "--plain", "--annotator", person),
        typed=tuple(words),
        outcomes=lambda before, done: answered(before, person, words, done.out),
        verify=_says_what_is_left,
    )


def _says_what_is_left(done: Ended, found: Reading) -> str:
    saved = re.search(r"everything is saved; (\d+) of (\d+) images left", done.out)
    is_open = found.left is not None
    if saved and is_open and int(saved[1]) > found.left:
        return f"{saved[0]}, but {found.left} are left"
    return ""


def adjudicate(world: World) -> Command:
    """Decide the class of an image that somebody answered."""
    chosen = world.rng.choice(sorted({name for name, _ in world.state.standing()}) or [image(0)])
    uid, name = world.rng.choice(world.state.classes)
    event = Event(kind="adjudicate", says="adjudicate", image=chosen, person="eve", uid=uid)
    return Command(
        family="adjudicate",
        argv=("labels", "adjudicate", chosen, name, "--annotator", "eve"),
        outcomes=lambda before, done: _all_or_none(before, before.plus(event), done),
        verify=lambda done, _: "" if f"{chosen} is {name}" in done.out else "another decision",
    )


def import_table(world: World) -> Command:
    """Import a CSV table of another program for one person."""
    person, path = world.rng.choice(PEOPLE), world.fresh(".csv")
    images = [image(n) for n in world.rng.sample(range(IMAGES), 4)]
    rows = [(asked, *world.rng.choice(world.state.classes)) for asked in images]
    path.write_text("file_name,label\n" + "".join(f"{asked},{name}\n" for asked, _, name in rows))
    return Command(
        family="import",
        argv=("labels", "import", str(path), "--annotator", person),
        outcomes=lambda before, done: _all_or_none(
            before, stated(before, person, [(asked, uid) for asked, uid, _ in rows]), done
        ),
        verify=lambda done, _: _counts_rows(done, len(rows)),
        clean=lambda: path.unlink(missing_ok=True),
    )


def stated(before: State, person: str, rows: list[tuple[str, str]]) -> State:
    """Return the state after an import in which a person states labels now."""
    after, standing = before, before.standing()
    for asked, uid in rows:
        current = standing.get((asked, person))
        if current is None or (current[1].says, current[1].uid) != ("label", uid):
            event = Event(kind="import", says="label", image=asked, person=person, uid=uid)
            after = after.plus(event)
    return after


def _counts_rows(done: Ended, count: int) -> str:
    found = re.search(r"imported (\d+) labels .* \((\d+) new, (\d+) changed, (\d+) as b", done.out)
    if not found:
        return f"import says {done.out!r}"
    total, new, changed, same = map(int, found.groups())
    return "" if total == new + changed and total + same == count else f"{found[0]} of {count}"


def export_table(world: World) -> Command:
    """Export the labels in one of the formats."""
    name = world.rng.choice(tables.FORMATS)
    path = world.fresh(tables.SUFFIXES.get(name, ""))
    return Command(
        family="labels export",
        argv=("labels", "export", "-f", name, "-o", str(path)),
        verify=lambda _, found: tables.problem_of(name, path, found.state),
        clean=lambda: _remove(path),
    )


def backup(world: World) -> Command:
    """Make a backup."""

    def verify(done: Ended, _: Reading) -> str:
        return "" if Path(done.out.strip()).is_file() else f"no backup at {done.out.strip()}"

    return Command(family="backup", argv=("labels", "backup"), verify=verify)


def restore(world: World) -> Command:
    """Go back to the newest backup."""

    def outcomes(before: State, done: Ended) -> list[State]:
        newest = world.newest_backup()  # another command may have made one since
        return newest if done.code == 0 else [before, *newest]

    def verify(done: Ended, found: Reading) -> str:
        count = re.search(r"restored ([\d,]+) events", done.out)
        is_right = count and int(count[1]) == len(found.state.events)
        return "" if is_right else f"restore says {done.out!r}"

    return Command(family="restore", argv=("labels", "restore"), outcomes=outcomes, verify=verify)


def classes(world: World) -> Command:
    """Add, rename, move or remove a class."""
    used, rng = list(world.state.classes), world.rng
    what = rng.choice(["add", "rename", "order", "remove"])
    uid, name = rng.choice(used)
    if what == "add":
        option, after = ("--add", _new_name(world)), [*used]
        after.append(("", option[1]))
    elif what == "rename":
        option = ("--rename", name, _new_name(world))
        after = [(known, option[2] if known == uid else other) for known, other in used]
    elif what == "order":
        option = ("--order", name)
        after = [(uid, name), *(pair for pair in used if pair[0] != uid)]
    else:
        option, after = ("--remove", name), [pair for pair in used if pair[0] != uid]

    def outcomes(before: State, done: Ended) -> list[State]:
        retired = before.retired | ({(uid, name)} if what == "remove" else set())
        changed = replace(before, classes=tuple(after), retired=frozenset(retired))
        return _all_or_none(before, changed, done)

    return Command(family="classes", argv=("labels", "classes", *option), outcomes=outcomes)


def _new_name(world: World) -> str:
    world.number += 1
    return f"kind{world.number}"


def train(world: World) -> Command:
    """Train the next round, resume it, or train the last one again."""
    may_resume = world.is_resumable or world.rng.random() < 0.2
    begun = world.interrupted
    is_due = world.observe().left == 0 or bool(world.interrupted)
    fresh = () if is_due and may_resume else ("--fresh",)
    return Command(
        family="train",
        argv=("train", *fresh, *QUICK, *ON_ONE),
        is_heavy=True,
        verify=lambda done, found: _counts_labels(done, [found.state, *begun]),
    )


def _counts_labels(done: Ended, states: list[State]) -> str:
    """Check the number of labels: those of now, or of the start of a resumed training."""
    said = re.search(r"round \d+: (\d+) labels", done.out)
    counts = [len(state.labels()) for state in states]
    return "" if said and int(said[1]) in counts else f"trained on {done.out!r}, {counts} exist"


def query(world: World) -> Command:
    """Choose the next images."""
    return Command(family="query", argv=("query", "-n", "6", "--device", "cpu"), is_heavy=True)


def export(world: World) -> Command:
    """Export the networks."""
    option = "--onnx" if world.rng.random() < 0.15 else "--torchscript"  # 7 s and 0.4 s of CPU time
    return Command(family="export", argv=("export", option, "--device", "cpu"), is_heavy=True)


def score(world: World) -> Command:
    """Score the pool with the exported sampler."""
    path = world.fresh(".csv")

    def verify(_: Ended, __: Reading) -> str:
        return "" if path.read_text().count("\n") == IMAGES + 1 else "not all images are scored"

    argv = ("score", str(world.pool), "-o", str(path), "--workers", "1", *ON_ONE)
    return Command(
        family="score",
        argv=argv,
        is_heavy=True,
        verify=verify,
        clean=lambda: path.unlink(missing_ok=True),
    )


def update_pool(_: World) -> Command:
    """Compare the pool with the workspace, and take its changes up: no image is new here."""

    def verify(done: Ended, _: Reading) -> str:
        said = json.loads(done.out)
        found = [said[kind] for kind in ("new", "renamed", "copies", "unreadable")]
        return _same("changes of the pool", [*found, said["added"]], [[], [], [], [], 0])

    return Command(family="pool update", argv=("pool", "update", "--json"), verify=verify)


def look(world: World) -> Command:
    """Read the state in one of the ways that change nothing."""
    verb = world.rng.choice([verb for verb in _LOOKS if not (world.is_light and verb in _HEAVY)])
    return Command(family="read-only", argv=verb, is_heavy=verb in _HEAVY, verify=_LOOKS[verb])


def _check_status(done: Ended, found: Reading) -> str:
    return _same("labeled", json.loads(done.out)["labeled"], len(found.state.labels()))


def _check_stats(done: Ended, found: Reading) -> str:
    said = dict(json.loads(done.out)["by_class"])
    names = list(found.state.labels().values())
    return _same("by class", said, {name: names.count(name) for _, name in found.state.classes})


def _check_log(done: Ended, found: Reading) -> str:
    said = [event["op_id"] for event in json.loads(done.out)]
    return _same("history", said, [event.op for event in reversed(found.state.events)])


def _check_disputes(done: Ended, found: Reading) -> str:
    said = {line["sample_id"] for line in json.loads(done.out)}
    given: dict[str, set[tuple[str, str | None]]] = {}
    for _, event in found.state.standing().values():
        if event.says in ("label", "cannot_tell"):
            given.setdefault(event.image, set()).add((event.says, event.uid))
    decided = {e.image for _, e in found.state.standing().values() if e.says == "adjudicate"}
    expected = {name for name, said in given.items() if len(said) > 1} - decided
    return _same("disputed", said, expected)


def _check_check(done: Ended, found: Reading) -> str:
    document = json.loads(done.out)
    return _same(
        "events", (document["events"], document["problems"]), (len(found.state.events), [])
    )


def _same(what: str, said: object, expected: object) -> str:
    return "" if said == expected else f"{what}: dgaal says {said}, expected {expected}"


_HEAVY = (("doctor",), ("report",))
_LOOKS: dict[tuple[str, ...], Callable[[Ended, Reading], str]] = {
    ("status", "--json"): _check_status,
    ("labels", "stats", "--json"): _check_stats,
    ("labels", "log", "--all", "--json"): _check_log,
    ("labels", "disputes", "--json"): _check_disputes,
    ("labels", "check", "--json"): _check_check,
    ("doctor",): lambda *_: "",
    ("report",): lambda *_: "",
}


def _all_or_none(before: State, after: State, done: Ended) -> list[State]:
    """Return what may be left: all of a command that ended with 0, else also nothing of it."""
    return [after] if done.code == 0 else [before, after]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


FAMILIES: dict[str, Callable[[World], Command]] = {
    "init": init,
    "answers": answers,
    "undo": undo,
    "adjudicate": adjudicate,
    "import": import_table,
    "labels export": export_table,
    "backup": backup,
    "restore": restore,
    "classes": classes,
    "pool update": update_pool,
    "train": train,
    "query": query,
    "export": export,
    "score": score,
    "read-only": look,
}
"""How to make a command of each family."""
HEAVY = frozenset({"train", "query", "export", "score"})
"""Families that load torch or ONNX Runtime."""
