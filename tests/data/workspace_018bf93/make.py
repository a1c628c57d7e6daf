"""Make the files of this folder again, with the code of commit 018bf93 and no other.

Usage::

    git worktree add --detach OLD 018bf93    # with an environment whose dgaal_cli is that code
    OLD/.venv/bin/python make.py NEW_FOLDER

writes ``workspace.tar.xz``, ``scored.tar.xz``, ``scores.csv`` and ``recorded.json``.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = load_digits()
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
SETTINGS = """
[network]
width = 4
latent = 4
residual_blocks = 1
latent_hidden = 8
critic_width = 4
classifier_width = 8

[pretrain]
epochs = 0
min_steps = 20

[coevolve]
steps = 20

[classifier]
steps = 60

[generation]
share = 0.3
min_confidence = 0.0
"""

Answers = Callable[[int, str, bool], str]
"""What a person types: the number of the question, the image's name, whether it is synthetic."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chdir(folder)
    make_images()
    make_workspace()
    record()
    for name in ("workspace", "scored"):
        with tarfile.open(f"{name}.tar.xz", "w:xz", preset=9) as archive:
            archive.add(name, filter=anonymous)
        shutil.rmtree(name)


def make_images() -> None:
    for place, start, count in (
        ("workspace/pool", 0, 120),
        ("workspace/test", 400, 60),
        ("scored", 600, 80),
    ):
        for number in range(start, start + count):
            inner = NAMES[DIGITS.target[number]] if place.endswith("test") else ""
            path = Path(place, inner, f"{number:04d}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((DIGITS.images[number] * 255 / 16).round().astype("uint8")).save(path)
    for place in ("workspace/pool", "scored"):
        Path(place, "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot an image")


def make_workspace() -> None:
    classes = ",".join((*NAMES, "neither", "spare"))
    dgaal("init", "workspace", "--pool", "workspace/pool", "--test", "workspace/test", "--classes",
          classes, "--preset", "tiny", "--method", "dgaal", "--seed", "3", "--query-size", "12",
          codes=(0, 3))  # fmt: skip
    os.chdir("workspace")
    toml = Path("dgaal.toml")
    text = toml.read_text().replace("size = 12", "overlap = 2\nsize = 12")
    assert "overlap = 2" in text, text
    toml.write_text(text + SETTINGS)

    dgaal("train")
    dgaal("query")
    label("ann", first_round_of_ann)
    label("bob", first_round_of_bob)
    disputes = json.loads(dgaal("--json", "labels", "disputes"))
    image = disputes[-1]["sample_id"]
    dgaal(
        "labels", "adjudicate", image, truth(image), "--annotator", "cleo", "--note", "looked twice"
    )
    Path("more.csv").write_text(
        "file_name,label\n"
        + "".join(f"{n:04d}.png,{NAMES[DIGITS.target[n]]}\n" for n in range(90, 110))
    )
    dgaal("labels", "import", "more.csv", "--annotator", "dan")
    Path("more.csv").unlink()

    dgaal("train")
    dgaal("query", "--synthetic", "3")
    label("ann", second_round)
    label("bob", second_round)
    dgaal("labels", "classes", "--rename", "neither", "no digit")
    dgaal("labels", "classes", "--remove", "spare")
    dgaal("labels", "classes", "--add", "blot")
    dgaal("labels", "classes", "--order", "no digit,blot")

    dgaal("train")
    dgaal("query", "--synthetic", "2")
    label("ann", half_of_the_third)
    label("bob", a_quarter_of_the_third)
    dgaal("export")
    dgaal("labels", "check")
    os.chdir("..")


def first_round_of_ann(number: int, name: str, is_synthetic: bool) -> str:
    """A wrong answer, which undo takes back and redo brings back, a skip, flags, a can't tell."""
    script = {
        2: "five",
        3: "u",
        4: "redo",
        5: "s",
        6: "f",
        7: "f",
        8: "f",
        9: "x",
        11: "six",
        12: "u",
    }
    return script.get(number, truth(name))


def first_round_of_bob(number: int, name: str, is_synthetic: bool) -> str:
    return "one" if number in (3, 6) else truth(name)


def second_round(number: int, name: str, is_synthetic: bool) -> str:
    if is_synthetic or number == 4:
        return "x" if number % 3 == 0 else "neither"
    return truth(name)


def half_of_the_third(number: int, name: str, is_synthetic: bool) -> str:
    return "q" if number > 6 else "three" if is_synthetic else truth(name)


def a_quarter_of_the_third(number: int, name: str, is_synthetic: bool) -> str:
    return "q" if number > 3 else truth(name)


def truth(name: str) -> str:
    return NAMES[DIGITS.target[int(Path(name).stem)]]


def label(annotator: str, answers: Answers) -> None:
    """Answer what the program asks, line by line, until it stops asking."""
    process = subprocess.Popen(
        [*PROGRAM, "label", "--plain", "--annotator", annotator],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    asked = 0
    for line in process.stdout:
        if ". class" not in line and "class?" not in line:
            continue
        asked += 1
        what = line.split(". ", 1)[1]
        is_synthetic = what.startswith("synthetic image ")
        name = what.removeprefix("synthetic ").removeprefix("image ").split(",")[0].split(". ")[0]
        answer = answers(asked, name, is_synthetic)
        process.stdin.write(answer + "\n")
        process.stdin.flush()
    assert process.wait() == 0


def record() -> None:
    """What the store, the program and the artifacts of this commit say of the workspace."""
    for suffix in ("onnx", "ts"):
        table = Path(f"scores-{suffix}.csv")
        artifact = f"workspace/artifacts/sampler.{suffix}"
        dgaal("-C", "workspace", "score", "scored", "-a", artifact, "-o", str(table),
              "--workers", "1", "--threads", "1", codes=(3,))  # fmt: skip
        table.write_text(table.read_text().replace(str(Path("scored").resolve()), "{scored}"))
    recorded: dict[str, Any] = {
        name: json.loads(dgaal("-C", "workspace", "--json", "labels", *name.split()))
        for name in ("log --all", "classes", "stats", "disputes")
    }
    exported = dgaal("-C", "workspace", "labels", "export", "-f", "jsonl", "--include-synthetic")
    recorded["export"] = [json.loads(line) for line in exported.splitlines()]
    recorded["status"] = json.loads(dgaal("-C", "workspace", "--json", "status"))
    del recorded["status"]["workspace"]  # the folder that it was made in
    recorded["engine"] = {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }
    Path("recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")


PROGRAM = [sys.executable, "-m", "dgaal_cli"]


def dgaal(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [*PROGRAM, *arguments], check=False, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert done.returncode in codes, done.returncode
    return done.stdout


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main(Path(sys.argv[1]))
