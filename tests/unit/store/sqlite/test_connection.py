import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from class_labels import name_of

from dgaal_cli.errors import BusyError, StorageError, UsageError, WorkspaceError
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.sqlite import connection as connection_module
from dgaal_cli.store.sqlite import gate as gate_module
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.workspace import Workspace, lock_path


def pragma(store: Store, name: str):
    return store.database.connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_connection_settings_are_crash_safe(store):
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "journal_mode") == "truncate"
    for name, value in {
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "recursive_triggers": 1,
        "busy_timeout": 5000,
        "application_id": schema.APPLICATION_ID,
        "user_version": schema.latest_version(),
    }.items():
        assert pragma(store, name) == value, name


def test_write_ahead_log_of_another_program_is_left_when_it_is_closed(path):
    store_location(path).create().close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = wal")
    other.execute("SELECT count(*) FROM event").fetchone()
    with pytest.raises(BusyError, match="another program"):
        open_store(path)
    other.close()
    with open_store(path) as store:
        assert pragma(store, "journal_mode") == "truncate"


def test_create_store_refuses_existing_file(path):
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        store_location(path).create()
    assert path.read_bytes() == b"precious"
    assert os.listdir(path.parent) == ["labels.db"]  # noqa: PTH208


def test_open_store_does_not_create_missing_store(path):
    with pytest.raises(WorkspaceError, match="no label store"):
        open_store(path)
    assert not path.exists()


def write_foreign_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.close()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a label store of dgaal"),
        (lambda path: path.write_bytes(b"PK\x03\x04" * 500), "damaged or not a label store"),
        (write_foreign_database, "not a label store of dgaal"),
    ],
)
def test_other_file_is_refused_and_unchanged(path, write, message):
    write(path)
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match=message) as caught:
        open_store(path)
    assert caught.value.exit_code == 4
    assert path.read_bytes() == before


def test_store_of_a_newer_version_is_refused(store, path):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(WorkspaceError, match="version 99"):
        open_store(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER spy AFTER INSERT ON event BEGIN DELETE FROM lease; END",
        "CREATE VIEW spy AS SELECT 1",
        "DROP TRIGGER event_no_delete",
        "DROP INDEX event_cancels",
    ],
)
def test_store_with_foreign_or_missing_schema_parts_is_refused(store, path, statement):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    with pytest.raises(WorkspaceError, match="is missing or was changed"):
        open_store(path)


def test_store_with_dangling_rows_is_refused(store, path):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO path VALUES (x'00', 77)")
    connection.commit()
    connection.close()
    with pytest.raises(WorkspaceError, match="refers to a missing row"):
        open_store(path)


def test_damaged_page_is_detected_and_file_kept(asked, path, make_item):
    asked.store.add_items(make_item(f"many/{number:05d}.png") for number in range(2000))
    asked.store.close()
    data = bytearray(path.read_bytes())
    data[40_000:44_096] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(WorkspaceError, match="labels restore"):
        open_store(path)
    assert path.read_bytes() == bytes(data)


def test_full_disk_loses_no_label_and_store_stays_usable(asked, make_item):
    asked.submit("sam", "label", 3, asked.cat)
    pages = pragma(asked.store, "page_count")
    pragma(asked.store, f"max_page_count = {pages}")
    with pytest.raises(StorageError, match="disk is full") as caught:
        asked.store.add_items(make_item(f"new/{number}.png") for number in range(3000))
    assert caught.value.exit_code == 8
    assert len(asked.store.items()) == 5
    pragma(asked.store, "max_page_count = 1000000")
    assert asked.store.add_items([make_item("new.png")]).new == 1
    assert asked.names() == {3: "cat"}
    assert asked.store.check() == []


def test_read_only_store_reads_labels_and_refuses_writes(asked, path):
    asked.submit("sam", "label", 3, asked.cat)
    with open_store(path, read_only=True) as reader:
        assert [name_of(reader, label) for label in reader.labels()] == ["cat"]
        with pytest.raises(StorageError, match="reading only"):
            reader.add_class("eel")


HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
os.pwrite(fd, f"{os.getpid():<12d}".encode(), 0)
print("held", flush=True)
sys.stdin.read()
"""


def test_busy_error_names_the_process_that_writes(store, path, monkeypatch):
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.05)
    store.add_class("cat")
    gate = path.parent / ".locks" / "labels.db.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(gate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} ") as caught:
            store.add_class("dog")
        assert caught.value.exit_code == 6
        assert [record.name for record in store.classes()] == ["cat"]  # reading still works
        holder.kill()  # the kernel frees the lock
        holder.wait()
        assert store.add_class("dog").position == 1


def test_busy_error_names_only_the_last_holder_of_the_lock(store, path):
    workspace = Workspace(path.parent)
    with workspace.lock(path.name, doing="a name that is longer than the next one"):
        pass
    with store.database.gate():
        message = rf"in use by process {os.getpid()} \(writing labels\);"
        with pytest.raises(BusyError, match=message), workspace.lock(path.name, doing="restoring"):
            pass
    assert lock_path(path.parent, path.name).read_bytes() == b""


def test_transaction_of_another_program_raises_busy_error(store, path):
    store.database.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError, match="another program"):
        store.add_class("cat")
    other.execute("ROLLBACK")
    other.close()
    assert store.add_class("cat").name == "cat"


def test_several_threads_can_write_to_one_store(asked, make_item):
    store = asked.store
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for index in range(20):
                store.add_items([make_item(f"{number}/{index}")])
                store.counts()
        except BaseException as error:  # noqa: BLE001 - reported by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.counts().items == 85


def test_failed_write_block_is_rolled_back(store):
    def fail() -> None:
        with store.database.write() as connection:
            connection.execute("INSERT INTO meta VALUES ('a', 'b')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.database.read() as connection:
        assert connection.execute("SELECT * FROM meta WHERE key = 'a'").fetchall() == []
    assert store.add_class("cat").name == "cat"


def test_forked_child_cannot_use_the_connection(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="after the fork"):
        store.classes()


def test_upgrade_backs_up_first_and_keeps_labels(asked, path, monkeypatch):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.close()
    migrations = (*schema.MIGRATIONS, ("CREATE TABLE extra(x INTEGER) STRICT",))
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    with open_store(path, read_only=True) as upgraded:
        assert pragma(upgraded, "user_version") == len(migrations)
        assert [name_of(upgraded, label) for label in upgraded.labels()] == ["cat"]
    (backup,) = (path.parent / "backups").iterdir()
    assert backup.name.endswith("-upgrade.db")
    monkeypatch.setattr(schema, "MIGRATIONS", migrations[:-1])
    with pytest.raises(WorkspaceError, match=f"version {len(migrations)}"):
        open_store(path)
    with open_store(backup) as old:
        assert [name_of(old, label) for label in old.labels()] == ["cat"]


def test_failed_upgrade_keeps_the_old_version(asked, path, monkeypatch):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.close()
    failing_migrations = (
        *schema.MIGRATIONS,
        ("CREATE TABLE extra(x)", "DROP TABLE verdict", "CREATE NONSENSE"),
    )
    monkeypatch.setattr(schema, "MIGRATIONS", failing_migrations)
    with pytest.raises(sqlite3.OperationalError):
        open_store(path)
    monkeypatch.setattr(schema, "MIGRATIONS", failing_migrations[:-1])
    with open_store(path) as old:
        assert [name_of(old, label) for label in old.labels()] == ["cat"]


def test_store_opens_at_a_path_that_is_not_valid_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff #?%")
    folder.mkdir()
    store_location(folder / "labels.db").create().close()
    database = Database(folder / "labels.db")
    database.check()
    database.close()


def test_timed_out_writer_does_not_release_its_later_lock(store, path, monkeypatch):
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.05)
    store.add_class("cat")
    lock = os.open(lock_path(path.parent, path.name), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for _ in range(3):
        with pytest.raises(BusyError):
            store.add_class("dog")
    fcntl.flock(lock, fcntl.LOCK_UN)
    monkeypatch.setattr(gate_module, "DEADLINE_S", 5.0)
    with store.database.gate():
        time.sleep(0.1)  # the waiting threads of the timed-out writes acquire and release the lock
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    end = time.monotonic() + 10.0
    while True:  # a waiting thread of a timed-out write may hold the lock until it closes it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            assert time.monotonic() < end, "the gate is released but the lock cannot be acquired"
            time.sleep(0.01)
        else:
            break
    os.close(lock)


def test_reader_waits_in_the_writers_queue_when_the_file_is_busy(path, monkeypatch):
    # SQLite's own retries could hide the error
    monkeypatch.setattr(connection_module, "_BUSY_TIMEOUT_MS", 0)
    monkeypatch.setattr(connection_module, "_FIRST_TIMEOUT_MS", 0)
    store_location(path).create().close()
    with open_store(path) as reader:
        writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError, match="another program"):
            reader.watermark()
        enter = reader.database._gate.enter

        def enter_after_rollback() -> None:
            writer.execute("ROLLBACK")  # the writer finishes while the reader is in the queue
            enter()

        monkeypatch.setattr(reader.database._gate, "enter", enter_after_rollback)
        assert reader.watermark() == 0
        assert not reader.database.connection.in_transaction
        writer.close()


def test_open_store_waits_in_the_writers_queue(path, monkeypatch):
    """Regression: an export failed while eight annotators labeled, since it only polled for 5 s."""
    monkeypatch.setattr(connection_module, "_BUSY_TIMEOUT_MS", 0)
    monkeypatch.setattr(connection_module, "_FIRST_TIMEOUT_MS", 0)
    store_location(path).create().close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BusyError, match="another program"):
        open_store(path)
    enter = gate_module.Gate.enter

    def enter_after_rollback(gate: gate_module.Gate) -> None:
        if writer.in_transaction:
            writer.execute("ROLLBACK")  # the writer finishes while the reader is in the queue
        enter(gate)

    monkeypatch.setattr(gate_module.Gate, "enter", enter_after_rollback)
    with open_store(path, read_only=True) as reader:
        assert reader.watermark() == 0
    writer.close()


def test_waiting_writer_backs_off_once(path, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(gate_module.time, "sleep", pauses.append)
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.01)
    waiting, other = gate_module.Gate(path), gate_module.Gate(path)
    for _ in range(3):  # alone: no pause
        waiting.enter()
        waiting.leave()
    other.enter()
    with pytest.raises(BusyError):
        waiting.enter()
    other.leave()
    assert pauses == []
    waiting.enter()
    waiting.leave()
    assert pauses == [gate_module._BACKOFF_S]
    for gate in (waiting, other):
        gate.close()


WRITERS = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
for number in range(int(sys.argv[2])):
    os.pwrite(fd, f"{1000 + number % int(sys.argv[3]):<12d}".encode(), 0)
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("max_wait_s", "is_patient"), [(60.0, True), (0.5, False)])
def test_writer_waits_longer_while_the_lock_changes_hands(
    store, path, monkeypatch, max_wait_s, is_patient
):
    """Regression: eight annotators on a busy host blocked an export for 8 s."""
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.3)
    monkeypatch.setattr(gate_module, "MAX_WAIT_S", max_wait_s)
    monkeypatch.setattr(gate_module, "_POLL_S", 0.06)
    store.add_class("cat")
    gate = str(lock_path(path.parent, path.name))
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, gate, "30", "7"], stdout=subprocess.PIPE, text=True
    ) as others:
        assert others.stdout.readline() == "held\n"
        if is_patient:
            assert store.add_class("dog").position == 1
        else:
            with pytest.raises(BusyError, match="is being written by process 100"):
                store.add_class("dog")
        others.kill()
