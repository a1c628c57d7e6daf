"""Decoder processes: order, batches, and the effect of a bad file."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from sample_images import bomb, encoded, pixels, png

from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decode_stream import array_digest, decode_stream, decode_to
from dgaal_cli.data.decoders import launch
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.decoders.launch import worker_count
from dgaal_cli.data.decoders.process import DecoderDiedError, DecoderProcess, Shape
from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.images import frame, tile
from dgaal_cli.data.sources.base import Entry, FileBytes
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.ids import SampleId


def entry(name: str, read: Callable[[], object]) -> Entry:
    return Entry(id=SampleId(name), read=read)  # type: ignore[arg-type]


def data_entry(name: str, data: object) -> Entry:
    return entry(name, partial(_identity, data))


def _identity(data: object) -> object:
    return data


def decode_all(entries: list[Entry], *, workers: int = 2, chunk: int = 4) -> list[DecodedBatch]:
    return list(decode_stream(entries, size=8, channels=3, workers=workers, chunk=chunk))


@pytest.mark.parametrize(("workers", "chunk"), [(1, 1), (1, 64), (2, 4), (3, 7)])
def test_batches_keep_order_for_any_number_of_workers(
    tmp_path: Path, workers: int, chunk: int
) -> None:
    entries = []
    for number in range(50):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png(number))
        entries.append(entry(str(number), FileBytes(str(path))))
    batches = decode_all(entries, workers=workers, chunk=chunk)
    assert [len(batch.entries) for batch in batches[:-1]] == [chunk] * (len(batches) - 1)
    found = np.concatenate([batch.pixels for batch in batches])
    np.testing.assert_array_equal(found, np.stack([pixels(number) for number in range(50)]))
    names = [item.id for batch in batches for item in batch.entries]
    assert names == [str(number) for number in range(50)]


def test_batch_has_digest_size_and_original_shape() -> None:
    data = encoded(pixels(1, height=12, width=20))
    array = pixels(2, height=6, width=5)
    (batch,) = decode_all([data_entry("file", data), data_entry("array", array)])
    assert batch.sha256 == [sha256(data).digest(), array_digest(array)]
    assert batch.sizes == [len(data), array.nbytes]
    assert (batch.widths, batch.heights) == ([20, 5], [12, 6])
    assert batch.ok.tolist() == [True, True]


def test_array_digest_depends_on_shape() -> None:
    flat = np.arange(12, dtype=np.uint8)
    assert array_digest(flat.reshape(3, 4)) != array_digest(flat.reshape(4, 3))


def test_bad_files_keep_their_position_and_reason(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png(1))
    entries = [
        data_entry("text", b"text"),
        entry("good", FileBytes(str(tmp_path / "good.png"))),
        entry("gone", FileBytes(str(tmp_path / "gone.png"))),
        data_entry("empty", b""),
        data_entry("bomb", bomb()),
        entry("refused", _refuse),
        data_entry("float", np.zeros((4, 4), np.float32)),
    ]
    batch = decode_all(entries, chunk=16)[0]
    assert batch.ok.tolist() == [False, True, False, False, False, False, False]
    assert batch.errors == [
        not_an_image().reason,
        "",
        "cannot be read: no such file or directory",
        "empty file",
        "more than 64 megapixels",
        "refused by the test",
        "array of float32, not of uint8",
    ]
    assert not batch.pixels[~batch.ok].any()
    np.testing.assert_array_equal(batch.pixels[1], pixels(1))


def _refuse() -> bytes:
    raise UnreadableImageError("refused by the test")


def test_links_to_files_are_read_and_those_to_pipes_and_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(png(1))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "pipe_link.png").symlink_to(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    names = ("link.png", "pipe.png", "pipe_link.png", "folder.png")
    entries = [entry(name, FileBytes(str(tmp_path / name))) for name in names]
    assert decode_all(entries)[0].errors == [
        "",
        "not a regular file (pipe)",
        "not a regular file (pipe)",
        "not a regular file (folder)",
    ]


@pytest.fixture
def hostile_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install a decoder that certain files crash or hang, as a defect in a C library would."""
    module = tmp_path / "hostile_decoder.py"
    module.write_text(
        "import os, signal, time\n"
        "from dgaal_cli.data.decoders import worker\n"
        "worker.LIMIT_S = 0.5\n"
        "real = worker.load_picture\n"
        "def load_picture(data, target):\n"
        "    if data.startswith(b'CRASH'): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if data.startswith(b'EXIT'): os._exit(3)\n"
        "    if data.startswith(b'HANG'):\n"
        "        while True: time.sleep(9)\n"
        "    if data.startswith(b'HOARD'): bytearray(64 * 2**30)\n"
        "    if data.startswith(b'PRINT'): os.write(1, b'noise' * 99); os.write(2, b'noise')\n"
        "    return real(data.removeprefix(b'PRINT'), target)\n"
        "worker.load_picture = load_picture\n"
        "worker.main()\n"
    )
    start = "import sys; sys.path[:0] = {paths!r}; import hostile_decoder"
    monkeypatch.setattr("dgaal_cli.data.decoders.launch._START", start)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("hostile_decoder")
def test_crash_or_hang_of_a_decoder_affects_only_that_file() -> None:
    entries = [data_entry(str(number), png(number)) for number in range(12)]
    entries[3] = data_entry("crash", b"CRASH")
    entries[4] = data_entry("hang", b"HANG")
    entries[7] = data_entry("exit", b"EXIT")
    entries[8] = data_entry("hoard", b"HOARD")
    entries[9] = data_entry("print", b"PRINT" + png(9))
    (batch,) = decode_all(entries, workers=2, chunk=12)
    assert {row: reason for row, reason in enumerate(batch.errors) if reason} == {
        3: "crashed the decoder (SIGSEGV)",
        4: "took longer than 10 s to decode",
        7: "crashed the decoder",
        8: "needs more memory than a decoder may use",
    }
    for row in (0, 1, 2, 5, 6, 9, 10, 11):
        np.testing.assert_array_equal(batch.pixels[row], pixels(row))


def test_dead_decoder_process_is_replaced_at_the_next_call() -> None:
    decoder = DecoderProcess()
    try:
        decoder.decode(png(1))
        process = decoder._process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(DecoderDiedError, match="SIGKILL"):
            decoder.decode(png(1))
        np.testing.assert_array_equal(decoder.decode(png(2)), pixels(2))
    finally:
        decoder.close()


def test_processes_started_ahead_are_used_first() -> None:
    launch.end_ahead()
    launch.start_ahead(2)
    started_ahead = {process.pid for process in launch._ahead}
    decoders = [DecoderProcess() for _ in range(3)]
    try:
        for decoder in decoders:
            np.testing.assert_array_equal(decoder.decode(png(1)), pixels(1))
        used_pids = [decoder._process.pid for decoder in decoders if decoder._process]
        assert set(used_pids[:2]) == started_ahead
        assert used_pids[2] not in started_ahead
        assert launch._ahead == []
    finally:
        for decoder in decoders:
            decoder.close()


def test_end_ahead_ends_unused_processes() -> None:
    launch.start_ahead(1)
    (started_ahead,) = launch._ahead
    launch.end_ahead()
    assert started_ahead.returncode == 0
    assert launch._ahead == []


def test_closing_the_stream_early_ends_all_processes(tmp_path: Path) -> None:
    entries = (data_entry(str(number), png(number % 50)) for number in range(100_000))
    stream = decode_stream(entries, size=8, channels=3, workers=2, chunk=8)
    next(stream)
    stream.close()
    listing = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "dgaal_cli.data.decoders.worker" not in listing.stdout


def test_error_while_listing_is_raised_by_the_stream() -> None:
    def entries():
        yield data_entry("1", png(1))
        raise ValueError("listing failed")

    with pytest.raises(ValueError, match="listing failed"):
        decode_all(entries())  # type: ignore[arg-type]


def test_decoder_process_imports_no_heavy_module() -> None:
    code = (
        "import dgaal_cli.data.decoders.worker as w; w.silence_decoders(); "
        "print([m for m in ('numpy', 'torch', 'onnxruntime', 'dataclasses', 'hashlib', "
        "'PIL.WmfImagePlugin') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("seconds", [1_700_000_000, -5])
def test_batch_has_modification_times_of_its_files(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    os.utime(path, (seconds, seconds))
    (tmp_path / "bad.png").write_bytes(b"text")
    os.utime(tmp_path / "bad.png", (seconds, seconds))
    entries = [entry(name, FileBytes(str(tmp_path / name))) for name in ("a.png", "bad.png")]
    entries += [data_entry("bytes", png(2)), entry("gone", FileBytes(str(tmp_path / "gone.png")))]
    (batch,) = decode_all(entries, chunk=9)
    assert batch.changed_at == [seconds * 10**9, seconds * 10**9, 0, 0]
    for place in (0, 1):
        stamp = f"{batch.sizes[place]}:{batch.changed_at[place]}"
        assert stamp == entries[place].read.stamp()  # type: ignore[attr-defined]


def test_digests_are_omitted_on_request(tmp_path: Path) -> None:
    entries = [data_entry("file", png(1)), data_entry("array", pixels(2)), entry("no", _refuse)]
    (batch,) = decode_stream(entries, size=8, channels=3, workers=1, hashes=False)
    assert batch.sha256 == []
    assert batch.ok.tolist() == [True, True, False]


@pytest.mark.parametrize("chunk", [1, 3, 64, 200])
def test_large_files_split_tasks_but_not_batches(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgaal_cli.data.decode_stream._TASK_BYTES", 500)
    entries = [data_entry(str(number), png(number)) for number in range(130)]
    batches = decode_all(entries, chunk=chunk)
    assert [len(batch.entries) for batch in batches[:-1]] == [chunk] * (len(batches) - 1)
    found = np.concatenate([batch.pixels for batch in batches])
    np.testing.assert_array_equal(found, np.stack([pixels(number) for number in range(130)]))
    assert [d for batch in batches for d in batch.sha256] == [
        sha256(png(number)).digest() for number in range(130)
    ]


def test_batch_may_mix_files_arrays_and_errors() -> None:
    mixed = [data_entry(str(n), [png(n), pixels(n), b"text"][n % 3]) for n in range(20)]
    mixed[7] = entry("7", _refuse)
    (batch,) = decode_all(mixed, chunk=64)
    for number in range(20):
        is_ok = number % 3 != 2 and number != 7
        assert batch.ok[number] == is_ok
        expected = pixels(number) if is_ok else np.zeros((8, 8, 3))
        np.testing.assert_array_equal(batch.pixels[number], expected)
    assert batch.errors[7] == "refused by the test"


def test_worker_count_defaults_to_usable_cpus_and_is_capped() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == len(os.sched_getaffinity(0))
    assert worker_count(10**6) == max(64, 4 * len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("has_tiles", [False, True])
def test_files_and_arrays_are_framed_alike(*, has_tiles: bool) -> None:
    framing = Framing(8, share=0.8, interpolation="bicubic")
    image = pixels(3, height=8, width=8)  # of the right size, but cropped too
    entries = [data_entry("f", encoded(image)), data_entry("a", image), data_entry("bad", b"no")]
    shape = Shape(
        side=8, channels=3, hashes=False, reduces=False, framing=framing, has_tiles=has_tiles
    )
    (batch,) = decode_to(shape, entries, workers=1, chunk=8)
    expected = (tile if has_tiles else frame)(image, framing)
    np.testing.assert_array_equal(batch.pixels[0], expected)
    np.testing.assert_array_equal(batch.pixels[1], expected)
    assert batch.ok.tolist() == [True, True, False]
    assert not batch.pixels[2].any()
