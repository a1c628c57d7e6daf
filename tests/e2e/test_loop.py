"""The installed ``dgaal`` runs the whole loop on real images from the command line."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).parents[2] / "../shared/data"
DGAAL = str(Path(sys.executable).with_name("dgaal"))
FAST = ["--set", "pretrain.min_steps=20", "--set", "pretrain.epochs=0"]
FAST += ["--set", "classifier.steps=60", "--set", "coevolve.steps=20"]


def dgaal(*arguments, cwd, code=0, text_in=None):
    """Run dgaal, check its exit code and that there is no traceback; return stdout and stderr."""
    done = subprocess.run(
        [DGAAL, *map(str, arguments)],
        check=False,
        cwd=cwd,
        input=text_in,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
    )
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "leaked" not in done.stderr  # a library's warning at the end of the process
    return done.stdout, done.stderr


def write_labels(path, pairs):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "label"])
        writer.writerows(pairs)


def read_table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    """Return a workspace of the digits with 60 labels and one trained round."""
    base = tmp_path_factory.mktemp("loop")
    dgaal(
        *("init", "w", "--pool", "builtin:digits#train", "--test", "builtin:digits#test"),
        *("--classes", ",".join("0123456789"), "--preset", "tiny", "-q"),
        cwd=base,
    )
    write_labels(base / "l.csv", [(f"train/{i:06d}", digits.target[i]) for i in range(60)])
    dgaal("labels", "import", "../l.csv", cwd=base / "w")
    dgaal("train", *FAST, "--threads", "1", cwd=base / "w")
    return base / "w"


def test_round_trains_queries_labels_and_trains_again(trained, digits):
    out, _ = dgaal("query", "-n", 12, "--json", *FAST, cwd=trained)
    query = json.loads(out)["query"]
    assert len({entry["id"] for entry in query}) == 12
    assert not {entry["id"] for entry in query} & {f"train/{i:06d}" for i in range(60)}
    rows = read_table(trained / "rounds/000/query.csv")
    assert [row["id"] for row in rows] == [entry["id"] for entry in query]
    assert all(row["reason"] and row["nearest"].startswith("train/") for row in rows)

    answers = "".join(f"{digits.target[int(row['id'][-6:])]}\n" for row in rows)
    dgaal("label", "--plain", "--annotator", "ann", cwd=trained, text_in=answers)
    status = json.loads(dgaal("status", "--json", cwd=trained)[0])
    assert (status["labeled"], status["step"]) == (72, "train")

    out, _ = dgaal("train", *FAST, "--json", "--threads", "1", cwd=trained)
    result = json.loads(out)
    assert (result["round"], result["labels"], result["measured_count"]) == (1, 72, 500)
    assert result["synthesized"] <= 12
    assert 0.3 < result["accuracy"] <= 1.0

    exported, _ = dgaal("labels", "export", "--format", "csv", cwd=trained)
    labels = {row["file_name"]: row["label"] for row in csv.DictReader(io.StringIO(exported))}
    truth = {f"train/{i:06d}": str(digits.target[i]) for i in range(60)}
    truth |= {row["id"]: str(digits.target[int(row["id"][-6:])]) for row in rows}
    assert labels == truth


def scores_of(path):
    rows = read_table(path)
    return {row["id"]: float(row["score"]) for row in rows if row["status"] == "ok"}, rows


@pytest.fixture(scope="module")
def exported(trained):
    dgaal("export", cwd=trained)
    return trained / "artifacts"


def test_export_writes_every_artifact_and_document(exported):
    names = {path.name for path in exported.iterdir()}
    assert names >= {
        *(
            f"{role}.{suffix}"
            for role in ("sampler", "generator", "classifier")
            for suffix in ("onnx", "ts")
        ),
        *("manifest.json", "MODEL_CARD.md", "SHA256SUMS"),
    }


def test_score_is_independent_of_order_batch_engine_and_source(exported, tmp_path, digits):
    from PIL import Image

    images = np.round(digits.images[:120] * 255 / 16).astype(np.uint8)
    (tmp_path / "folder").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"folder/{index:06d}.png")
    np.savez(tmp_path / "pool.npz", x=images[::-1])
    lines = "".join(f"folder/{i:06d}.png\n" for i in reversed(range(120)))
    (tmp_path / "pool.csv").write_text("file_name\n" + lines)

    def scored(source, *options):
        dgaal("score", source, "-o", "s.csv", *options, cwd=tmp_path)
        return scores_of(tmp_path / "s.csv")

    onnx, ts = exported / "sampler.onnx", exported / "sampler.ts"
    reference, rows = scored("folder", "-a", onnx)
    assert len(reference) == 120
    values = [float(row["score"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert [int(row["rank"]) for row in rows] == list(range(1, 121))
    by_index = {int(key.split("/")[-1][:6]): value for key, value in reference.items()}
    runs = {
        "batch 1": scored("folder", "-a", onnx, "--batch", 1)[0],
        "batch 7": scored("folder", "-a", onnx, "--batch", 7)[0],
        "manifest": scored("pool.csv", "-a", onnx)[0],
        "torchscript": scored("folder", "-a", ts, "--trust-torchscript")[0],
    }
    for name, run in runs.items():
        found = {int(key.split("/")[-1][:6]): value for key, value in run.items()}
        assert max(abs(found[i] - by_index[i]) for i in range(120)) < 1e-4, name
    arrays = scored("pool.npz", "-a", onnx)[0]
    found = {119 - int(key.split("/")[-1]): value for key, value in arrays.items()}
    assert max(abs(found[i] - by_index[i]) for i in range(120)) < 1e-4


def test_scoring_does_not_need_torch(exported, tmp_path):
    blocker = tmp_path / "blocked"
    blocker.mkdir()
    (blocker / "torch.py").write_text("raise ImportError('no torch on this host')\n")
    done = subprocess.run(
        [DGAAL, "score", "builtin:digits#test", "-a", str(exported / "sampler.onnx"), "--top", "3"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(blocker)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


class TestBadInput:
    """Each bad input gets one clear sentence and the right exit code."""

    @pytest.fixture
    def images(self, tmp_path):
        from PIL import Image

        folder = tmp_path / "pool"
        folder.mkdir()
        for index in range(6):
            Image.new("L", (8, 8), 40 * index).save(folder / f"{index}.png")
        return folder

    def error_of(self, *arguments, cwd, code):
        _, err = dgaal(*arguments, cwd=cwd, code=code)
        lines = [line for line in err.splitlines() if line.startswith("dgaal: ")]
        assert len(lines) == 1, err
        return lines[0]

    def test_missing_pool(self, tmp_path):
        assert "absent" in self.error_of("init", "w", "--pool", "absent", cwd=tmp_path, code=2)
        assert not (tmp_path / "w").exists()

    def test_empty_pool(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "empty" in self.error_of("init", "w", "--pool", "empty", cwd=tmp_path, code=2)

    def test_init_without_pool(self, tmp_path):
        assert "--pool SOURCE" in self.error_of("init", "w", cwd=tmp_path, code=2)

    def test_unreadable_images_are_listed_and_others_are_used(self, images, tmp_path):
        (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        (images / "text.jpg").write_text("hello")
        _, err = dgaal("init", "w", "--pool", "pool", cwd=tmp_path, code=3)
        assert "broken.png" in err
        assert "text.jpg" in err
        status = json.loads(dgaal("status", "--json", "-C", "w", cwd=tmp_path)[0])
        assert status["images"] == 6
        assert {entry["id"] for entry in status["unreadable"]} == {"broken.png", "text.jpg"}

    def test_init_refuses_existing_workspace(self, images, tmp_path):
        dgaal("init", "w", "--pool", "pool", cwd=tmp_path)
        before = (tmp_path / "w/labels.db").read_bytes()
        assert "workspace already" in self.error_of(
            "init", "w", "--pool", "pool", cwd=tmp_path, code=2
        )
        (tmp_path / "w/dgaal.toml").unlink()
        assert "labels.db" in self.error_of("init", "w", "--pool", "pool", cwd=tmp_path, code=2)
        assert (tmp_path / "w/labels.db").read_bytes() == before

    def test_unknown_method_preset_key_and_class(self, images, tmp_path):
        error_of = self.error_of
        init = ("init", "w", "--pool", "pool")
        assert "did you mean 'dgaal'" in error_of(*init, "--method", "dgal", cwd=tmp_path, code=2)
        assert "tiny" in error_of(*init, "--preset", "huge", cwd=tmp_path, code=2)
        dgaal(*init, "--classes", "cat,dog", cwd=tmp_path)
        wrong = error_of("train", "--set", "query.sise=3", cwd=tmp_path / "w", code=2)
        assert "did you mean 'query.size'" in wrong
        write_labels(tmp_path / "l.csv", [("0.png", "cat"), ("1.png", "dgo")])
        message = self.error_of("labels", "import", "../l.csv", cwd=tmp_path / "w", code=2)
        assert "dgo" in message
        assert "dog" in message
        assert "line 3" in message
        status = json.loads(dgaal("status", "--json", cwd=tmp_path / "w")[0])
        assert status["labeled"] == 0

    def test_workspace_of_newer_version(self, images, tmp_path):
        dgaal("init", "w", "--pool", "pool", cwd=tmp_path)
        with sqlite3.connect(tmp_path / "w/labels.db") as connection:
            connection.execute("PRAGMA user_version = 999")
        connection.close()
        assert "upgrade" in self.error_of("status", "-C", "w", cwd=tmp_path, code=4)
        toml = tmp_path / "w/dgaal.toml"
        toml.write_text(toml.read_text().replace("version = 1", "version = 9"))
        assert "upgrade" in self.error_of("status", "-C", "w", cwd=tmp_path, code=4)

    def test_wrong_foreign_and_damaged_artifacts(self, exported, tmp_path):
        pool = ("score", "builtin:digits#test")
        message = self.error_of(*pool, "-a", exported / "generator.onnx", cwd=tmp_path, code=4)
        assert "generator" in message
        (tmp_path / "foreign.onnx").write_bytes(b"\x08\x09not one of ours")
        self.error_of(*pool, "-a", "foreign.onnx", cwd=tmp_path, code=4)
        data = bytearray((exported / "sampler.onnx").read_bytes())
        data[len(data) // 3] ^= 4
        (tmp_path / "flipped.onnx").write_bytes(data)
        self.error_of(*pool, "-a", "flipped.onnx", cwd=tmp_path, code=4)
        self.error_of(*pool, "-a", exported / "sampler.ts", cwd=tmp_path, code=7)

    def test_query_before_training_or_beyond_the_pool(self, images, tmp_path):
        dgaal("init", "w", "--pool", "pool", "--preset", "tiny", cwd=tmp_path)
        workspace = tmp_path / "w"
        message = self.error_of("query", "--synthetic", 2, cwd=workspace, code=2)
        assert "nothing is trained yet; run 'dgaal train' first" in message
        dgaal("train", *FAST, cwd=workspace)
        assert "6 are unlabeled" in self.error_of("query", "-n", 7, *FAST, cwd=workspace, code=2)
        dgaal("query", "-n", 2, *FAST, cwd=workspace)
        assert "still asks 2" in self.error_of("query", *FAST, cwd=workspace, code=2)
        dgaal("export", "--onnx", cwd=workspace)  # without labels only the generator is trained
        assert {p.name for p in (workspace / "artifacts").glob("*.onnx")} == {"generator.onnx"}

    def test_label_without_a_terminal(self, images, tmp_path):
        dgaal("init", "w", "--pool", "pool", cwd=tmp_path)
        assert "terminal" in self.error_of("label", "-C", "w", cwd=tmp_path, code=2)

    def test_demo_refuses_a_folder_that_is_not_empty(self, images, tmp_path):
        assert "not empty" in self.error_of("demo", "pool", cwd=tmp_path, code=2)


def start_training(workspace):
    """Start a long training and return its process after its first step."""
    process = subprocess.Popen(
        [DGAAL, "train", "--events", "--fresh", *FAST, "--set", "pretrain.min_steps=100000"],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"StepDone" in line:
            return process
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.fixture
def fresh(tmp_path):
    dgaal("init", "w", "--pool", "builtin:digits", "--preset", "tiny", cwd=tmp_path)
    return tmp_path / "w"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_training_and_saves_its_state(fresh, number, code):
    process = start_training(fresh)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert b"continues from there" in err
    status = json.loads(dgaal("status", "--json", cwd=fresh)[0])
    assert status["is_midway"] is True
    out, _ = dgaal("train", "--json", *FAST, "--fresh", cwd=fresh)
    assert json.loads(out)["round"] == 0


def test_second_training_reports_the_running_process(fresh):
    process = start_training(fresh)
    try:
        began = time.perf_counter()
        _, err = dgaal("train", *FAST, cwd=fresh, code=6)
        assert f"process {process.pid} (training)" in err
        assert time.perf_counter() - began < 30
    finally:
        process.kill()
        process.communicate()


def test_killed_training_resumes(fresh):
    options = [*FAST, "--set", "pretrain.min_steps=300", "--threads", "1"]
    process = subprocess.Popen(
        [DGAAL, "train", "--events", *options],
        cwd=fresh,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b'"step":1' in line:
            process.kill()
            break
    process.communicate()
    dgaal("train", *options, cwd=fresh)
    assert json.loads(dgaal("status", "--json", cwd=fresh)[0])["step"] == "query"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_all_commands_on_three_thousand_mnist_files(tmp_path):
    """The scenario of issue 2: every command on a folder of real images."""
    from PIL import Image

    with np.load(SHARED / "mnist.npz") as mnist:
        images, labels = mnist["x_train"][:3000], mnist["y_train"][:3000]
    (tmp_path / "pool").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"pool/{index:05d}.png")
    classes = ",".join("0123456789")
    dgaal("init", "w", "--pool", "pool", "--classes", classes, "--preset", "tiny", cwd=tmp_path)
    workspace = tmp_path / "w"
    write_labels(tmp_path / "l.csv", [(f"{i:05d}.png", labels[i]) for i in range(300)])
    dgaal("labels", "import", "../l.csv", cwd=workspace)
    result = json.loads(dgaal("train", *FAST, "--json", cwd=workspace)[0])
    assert result["measured_on"] == "held-out labels"
    assert 40 <= result["measured_count"] <= 80
    assert result["accuracy"] > 0.6
    dgaal("export", cwd=workspace)
    dgaal("score", "../pool", "-o", "scores.csv", cwd=workspace)
    scores, rows = scores_of(workspace / "scores.csv")
    assert len(scores) == 3000
    correct = sum(int(row["predicted"]) == labels[int(row["id"][:5])] for row in rows)
    assert correct / 3000 > 0.6
    query = json.loads(dgaal("query", "-n", 10, "--json", cwd=workspace)[0])["query"]
    answers = "".join(f"{labels[int(entry['id'][:5])]}\n" for entry in query)
    dgaal("label", "--plain", "--annotator", "ann", cwd=workspace, text_in=answers)
    status = json.loads(dgaal("status", "--json", cwd=workspace)[0])
    assert (status["labeled"], status["step"]) == (310, "train")
