"""G11: foreign names are escaped on the screen and in logs, errors and exports.

The program's own output is captured from pipes and from a pseudo-terminal.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from class_labels import as_label
from hostile_names import NAMES, raw_controls, raw_marks
from label_workspaces import DGAAL, make_workspace

from dgaal_cli.store.exchange.registry import FORMATS
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer

CLASSES = ("=cmd|' C'!A0", "[/x] \u56f3", "-1")
FOLDERS = ("imagefolder", "hf")

# The program without the function that escapes names.
CARELESS = """
import dgaal_cli.escaping as harmless
harmless.show = lambda name: name if isinstance(name, str) else name.decode("utf-8", "replace")
from dgaal_cli.cli import main
main()
"""


def run(root: Path, *arguments: str, typed: str = "", program: list[str] = DGAAL):
    return subprocess.run(
        [*program, *arguments], input=typed.encode(), capture_output=True, check=False, cwd=root
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with hostile names of images, folders and unreadable files."""
    root = make_workspace(tmp_path_factory.mktemp("names"), list(NAMES.values()), classes=CLASSES)
    with open_store(root / "labels.db") as store:
        for number, name in enumerate(NAMES.values()):
            bad = os.fsdecode(b"bad" + name)[:200]
            store.mark_unreadable([(bad, f"damaged image: \x1b]52;c;{number}\x07")])
    return root


def lines_of_answers() -> str:
    return "".join(("2\n", "3\n", "x\n", "f\n", "s\n")[n % 5] for n in range(3 * len(NAMES)))


def test_plain_labeling_and_reports_escape_hostile_names(root: Path):
    answered = run(root, "label", "--plain", typed="1\n2\n" * 2 + lines_of_answers())
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.count(b"saved:") >= len(NAMES)
    assert raw_controls(answered.stdout + answered.stderr) == []
    for arguments in (
        ("status",),
        ("status", "--json"),
        ("labels", "log", "--all"),
        ("labels", "log", "--all", "--json"),
        ("labels", "stats"),
        ("labels", "stats", "--json"),
        ("labels", "check"),
        ("doctor",),
    ):
        done = run(root, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert raw_controls(done.stdout + done.stderr) == [], arguments
        if "--json" in arguments:
            json.loads(done.stdout)


@pytest.mark.parametrize("name", FORMATS)
def test_exports_escape_hostile_names(root: Path, tmp_path: Path, name: str):
    run(root, "label", "--plain", typed=lines_of_answers())
    target = tmp_path / ("out" if name in FOLDERS else f"out.{name}")
    done = run(root, "labels", "export", "-f", name, "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert raw_controls(done.stdout + done.stderr) == []
    texts = [target] if target.is_file() else [p for p in target.rglob("*") if not p.is_symlink()]
    for path in texts:
        if path.is_file() and path.suffix != ".png":
            assert raw_controls(path.read_bytes()) == [], path


FEW = ("OSC 52, BEL", "C1 in UTF-8", "no UTF-8", "markup")


@pytest.mark.parametrize("kinds", [FEW, pytest.param(tuple(NAMES), marks=pytest.mark.deep)])
def test_error_messages_escape_hostile_names(root: Path, tmp_path: Path, kinds: tuple[str, ...]):
    for hostile in (NAMES[kind] for kind in kinds):
        name = os.fsdecode(hostile)
        rows = json.dumps({"file_name": f"no such {name}", "label": "x", "kind": "label"})
        (tmp_path / "in.jsonl").write_text(rows + "\n")
        (tmp_path / "pool.jsonl").write_text(rows + "\n")
        for arguments in (
            ("labels", "import", str(tmp_path / "in.jsonl")),
            ("labels", "import", name + ".csv"),
            ("labels", "import", f"pool/{name}", "-f", "csv"),
            ("init", "made", "--pool", f"no{name}"),
            ("init", "made", "--pool", str(tmp_path / "pool.jsonl")),
            ("-C", f"no{name}", "status"),
        ):
            done = run(root, *arguments)
            assert done.returncode in (2, 8), (arguments, done.stderr)
            assert raw_controls(done.stdout + done.stderr) == [], arguments
        assert not (root / "made").exists()


TINY = """
preset = "tiny"
threads = 1
name = "named [/x] [red"

[network]
width = 4
latent = 4
residual_blocks = 1
latent_hidden = 8
critic_width = 4
classifier_width = 4

[pretrain]
epochs = 0
min_steps = 4
batch = 8

[coevolve]
steps = 4
batch = 8

[classifier]
steps = 8
batch = 8
"""
BINARY = {".png", ".npy", ".npz", ".db", ".onnx", ".ts", ".safetensors", ".lock"}


@pytest.fixture(scope="module")
def labeled_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace in a folder with a hostile name; half of its images have answers."""
    pytest.importorskip("torch")
    base = os.fsencode(tmp_path_factory.mktemp("learned"))
    folder = Path(os.fsdecode(os.path.join(base, NAMES["OSC 52, BEL"])))  # noqa: PTH118 - bytes
    root = make_workspace(folder, list(NAMES.values()), classes=CLASSES)
    toml = (root / "dgaal.toml").read_text().replace('name = "harmed"\n', TINY)
    (root / "dgaal.toml").write_text(toml)
    with open_store(root / "labels.db") as store:
        uids = [record.uid for record in store.classes()]
        for number, item in enumerate(store.items()[:14]):
            answer = Answer(
                op_id=str(number),
                kind="label",
                item_id=item.item_id,
                label=as_label(uids[number % 3]),
            )
            store.submit(answer, annotator="=an\u0301n", session="s", take_next=False)
    return root


def write_labeled_pool(root: Path) -> None:
    """Write a manifest of the images whose names are text, with hostile class names."""
    rows = [
        {"file_name": f"pool/{name.decode()}", "label": CLASSES[number % 3]}
        for number, name in enumerate(NAMES.values())
        if name.decode("utf-8", "replace").isascii() and b"\xff" not in name
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "labeled.jsonl").write_text(text)


@pytest.mark.slow
def test_other_commands_and_their_files_escape_hostile_names(labeled_workspace: Path):
    write_labeled_pool(labeled_workspace)
    path = labeled_workspace / "dgaal.toml"
    toml = path.read_text()
    path.write_text(toml.replace('"named', '"\\u001b]52;c;eA==\\u0007'))
    refused = run(labeled_workspace, "status")
    assert (refused.returncode, raw_controls(refused.stdout + refused.stderr)) == (2, [])
    path.write_text(toml)
    simulation = [
        *("simulate", "labeled.jsonl", "--methods", "random,margin", "--seeds", "1"),
        *("--rounds", "1", "--initial", "6", "-n", "2", "--test-size", "4", "-o", "sim"),
        *("--set", "classifier.steps=4"),
    ]
    for arguments in (
        ("train",),
        ("query", "-n", "6"),
        ("status",),
        ("label", "--plain"),
        ("export", "--onnx"),
        ("score", "pool", "-o", "scores.csv"),
        ("score", "pool", "-o", "scores.jsonl"),
        ("score", "pool", "--top", "40"),
        ("generate", "-n", "3", "-o", "drawn"),
        simulation,
        ("report",),
        ("report", "sim"),
    ):
        done = run(labeled_workspace, *arguments, typed="1\nx\nq\n")
        assert done.returncode == 0, (arguments, done.stderr)
        assert raw_controls(done.stdout + done.stderr) == [], arguments
    texts = [
        path
        for path in labeled_workspace.rglob("*")
        if path.is_file() and path.suffix not in BINARY
    ]
    written = {path.name for path in texts if "pool" not in path.parts}
    assert {
        *("query.csv", "scores.csv", "scores.jsonl", "run.json", "metrics.json", "events.jsonl"),
        *("MODEL_CARD.md", "manifest.json", "index.html", "generated.jsonl", "result.json"),
    } <= written
    for path in texts:
        if "pool" not in path.relative_to(labeled_workspace).parts:
            assert raw_controls(path.read_bytes()) == [], path


@pytest.mark.slow
def test_label_screen_escapes_hostile_names(tmp_path: Path):
    pexpect = pytest.importorskip("pexpect")
    root = make_workspace(tmp_path, list(NAMES.values()), classes=CLASSES)
    child = pexpect.spawn(
        DGAAL[0],
        [*DGAAL[1:], "-C", str(root), "label", "--annotator", "ann"],
        env={"TERM": "xterm-256color", "COLORTERM": "truecolor", "PATH": "/usr/bin:/bin"},
        dimensions=(40, 140),
        timeout=60,
    )
    output = b""

    def pump(quiet: float) -> None:
        nonlocal output
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                output += child.read_nonblocking(1 << 16, timeout=quiet)
            except pexpect.TIMEOUT:
                return
            except pexpect.EOF:
                return

    try:
        while "▀".encode() not in output:
            pump(1.0)
            assert child.isalive(), output[-2000:]
        for number in range(len(NAMES)):
            pump(0.35)
            child.send("123xfuii?"[number % 8])
            if number % 8 == 7:
                pump(0.3)
                child.send("\x1b")
        pump(0.5)
        assert child.isalive(), output[-2000:]
        child.send("q")
        pump(1.0)
    finally:
        child.kill(signal.SIGKILL)
        child.close(force=True)
    with open_store(root / "labels.db") as store:
        assert store.watermark() > 5
    assert raw_marks(output) == []


def test_control_unescaped_names_are_caught(root: Path):
    done = run(root, "status", program=[sys.executable, "-c", CARELESS])
    assert raw_controls(done.stdout + done.stderr) != []
    assert raw_marks(done.stdout) + raw_marks(done.stderr) != []
