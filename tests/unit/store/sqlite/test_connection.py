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
from dgaal_cli.store.open import create_store, open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.sqlite import connection as connection_module
from dgaal_cli.store.sqlite import gate as gate_module
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.connection import Database, is_wal_safe


def pragma(store: Store, name: str):
    return store.database.connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_settings_are_those_that_survive_a_power_cut(store):
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "journal_mode") == ("wal" if is_wal_safe() else "truncate")
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


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 0), True),
    ],
)
def test_wal_is_used_only_where_its_bug_is_fixed(monkeypatch, version, expected):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert is_wal_safe() is expected


def test_a_store_is_never_made_over_another_file(path):
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        create_store(path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(path.parent) == ["labels.db"]  # noqa: PTH208


def test_a_missing_store_is_not_silently_recreated(path):
    with pytest.raises(WorkspaceError, match="no label store"):
        open_store(path)
    assert not path.exists()


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.close()


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b""), "not a label store of dgaal"),
        (lambda path: path.write_bytes(b"PK\x03\x04" * 500), "damaged or not a label store"),
        (foreign, "not a label store of dgaal"),
    ],
)
def test_other_files_are_refused_and_left_alone(path, write, words):
    write(path)
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match=words) as caught:
        open_store(path)
    assert caught.value.exit_code == 4
    assert path.read_bytes() == before


def test_a_newer_store_is_refused(store, path):
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
def test_a_store_with_foreign_or_missing_parts_is_refused(store, path, statement):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    with pytest.raises(WorkspaceError, match="is missing or was changed"):
        open_store(path)


def test_a_store_with_dangling_rows_is_refused(store, path):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO path VALUES (x'00', 77)")
    connection.commit()
    connection.close()
    with pytest.raises(WorkspaceError, match="refers to a missing row"):
        open_store(path)


def test_a_page_of_garbage_is_found_and_the_file_kept(asked, path, make_item):
    asked.store.add_items(make_item(f"many/{number:05d}.png") for number in range(2000))
    asked.store.close()
    data = bytearray(path.read_bytes())
    data[40_000:44_096] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(WorkspaceError, match="labels restore"):
        open_store(path)
    assert path.read_bytes() == bytes(data)


def test_a_full_disk_loses_nothing_and_work_goes_on_afterwards(asked, make_item):
    asked.say("sam", "label", 3, asked.cat)
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


def test_reading_only_refuses_to_write_and_sees_what_is_there(asked, path):
    asked.say("sam", "label", 3, asked.cat)
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


def test_a_second_writer_is_told_who_holds_the_store(store, path, monkeypatch):
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
        assert [record.name for record in store.classes()] == ["cat"]  # reading goes on
        holder.kill()  # the kernel frees the lock
        holder.wait()
        assert store.add_class("dog").position == 1


def test_another_program_in_a_transaction_makes_the_store_busy_not_broken(store, path):
    store.database.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError, match="another program"):
        store.add_class("cat")
    other.execute("ROLLBACK")
    other.close()
    assert store.add_class("cat").name == "cat"


def test_several_threads_take_turns(asked, make_item):
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


def test_a_failed_block_leaves_no_transaction_open(store):
    def fail() -> None:
        with store.database.write() as connection:
            connection.execute("INSERT INTO meta VALUES ('a', 'b')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.database.read() as connection:
        assert connection.execute("SELECT * FROM meta WHERE key = 'a'").fetchall() == []
    assert store.add_class("cat").name == "cat"


def test_a_forked_child_may_not_use_the_connection(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="after the fork"):
        store.classes()


def test_an_upgrade_runs_in_one_transaction_after_a_backup(asked, path, monkeypatch):
    asked.say("sam", "label", 3, asked.cat)
    asked.store.close()
    better = (*schema.MIGRATIONS, ("CREATE TABLE extra(x INTEGER) STRICT",))
    monkeypatch.setattr(schema, "MIGRATIONS", better)
    with open_store(path, read_only=True) as upgraded:
        assert pragma(upgraded, "user_version") == len(better)
        assert [name_of(upgraded, label) for label in upgraded.labels()] == ["cat"]
    (backup,) = (path.parent / "backups").iterdir()
    assert backup.name.endswith("-upgrade.db")
    monkeypatch.setattr(schema, "MIGRATIONS", better[:-1])
    with pytest.raises(WorkspaceError, match=f"version {len(better)}"):
        open_store(path)
    with open_store(backup) as old:
        assert [name_of(old, label) for label in old.labels()] == ["cat"]


def test_a_failing_upgrade_leaves_the_old_version(asked, path, monkeypatch):
    asked.say("sam", "label", 3, asked.cat)
    asked.store.close()
    bad = (*schema.MIGRATIONS, ("CREATE TABLE extra(x)", "DROP TABLE verdict", "CREATE NONSENSE"))
    monkeypatch.setattr(schema, "MIGRATIONS", bad)
    with pytest.raises(sqlite3.OperationalError):
        open_store(path)
    monkeypatch.setattr(schema, "MIGRATIONS", bad[:-1])
    with open_store(path) as old:
        assert [name_of(old, label) for label in old.labels()] == ["cat"]


def test_a_path_of_undecodable_bytes_opens(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff #?%")
    folder.mkdir()
    create_store(folder / "labels.db").close()
    database = Database(folder / "labels.db")
    database.check()
    database.close()


def test_a_writer_that_gave_up_does_not_take_the_lock_away_from_itself_later(
    store, path, monkeypatch
):
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.05)
    store.add_class("cat")
    lock = os.open(gate_module.lock_path(path), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for _ in range(3):
        with pytest.raises(BusyError):
            store.add_class("dog")
    fcntl.flock(lock, fcntl.LOCK_UN)
    monkeypatch.setattr(gate_module, "DEADLINE_S", 5.0)
    with store.database.gate():
        time.sleep(0.1)  # the threads that gave up pass their turn on
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    end = time.monotonic() + 10.0
    while True:  # a thread that gave up may hold it for the moment that closing takes
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            assert time.monotonic() < end, "the gate was left and nobody can enter"
            time.sleep(0.01)
        else:
            break
    os.close(lock)


def test_a_reader_that_finds_no_gap_between_writers_waits_in_line_with_them(path, monkeypatch):
    monkeypatch.setattr(connection_module, "_BUSY_TIMEOUT_MS", 0)  # else SQLite's luck may hide it
    monkeypatch.setattr(connection_module, "_FIRST_TIMEOUT_MS", 0)
    create_store(path).close()
    with open_store(path) as reader:
        if pragma(reader, "journal_mode") == "wal":
            pytest.skip("with a write-ahead log nobody keeps a reader waiting")
        writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError, match="another program"):
            reader.watermark()
        enter = reader.database._gate.enter

        def wait_in_line() -> None:
            writer.execute("ROLLBACK")  # the writer is done while the reader stands in line
            enter()

        monkeypatch.setattr(reader.database._gate, "enter", wait_in_line)
        assert reader.watermark() == 0
        assert not reader.database.connection.in_transaction
        writer.close()


def test_opening_waits_in_line_with_writers_too(path, monkeypatch):
    """An export that started while eight people labeled failed, since it polled for 5 s."""
    monkeypatch.setattr(connection_module, "_BUSY_TIMEOUT_MS", 0)
    monkeypatch.setattr(connection_module, "_FIRST_TIMEOUT_MS", 0)
    create_store(path).close()
    writer = sqlite3.connect(path, isolation_level=None)
    if writer.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        pytest.skip("with a write-ahead log nobody keeps a reader waiting")
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BusyError, match="another program"):
        open_store(path)
    enter = gate_module.Gate.enter

    def wait_in_line(gate: gate_module.Gate) -> None:
        if writer.in_transaction:
            writer.execute("ROLLBACK")  # the writer is done while the other stands in line
        enter(gate)

    monkeypatch.setattr(gate_module.Gate, "enter", wait_in_line)
    with open_store(path, read_only=True) as reader:
        assert reader.watermark() == 0
    writer.close()


def test_who_had_to_wait_lets_others_in_first_next_time(path, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(gate_module.time, "sleep", slept.append)
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.01)
    mine, other = gate_module.Gate(path), gate_module.Gate(path)
    for _ in range(3):  # alone: no pause
        mine.enter()
        mine.leave()
    other.enter()
    with pytest.raises(BusyError):
        mine.enter()
    other.leave()
    assert slept == []
    mine.enter()
    mine.leave()
    assert slept == [gate_module._BACKOFF_S]
    for gate in (mine, other):
        gate.close()


ROUND = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
for number in range(int(sys.argv[2])):
    os.pwrite(fd, f"{1000 + number % int(sys.argv[3]):<12d}".encode(), 0)
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("longest_s", "is_patient"), [(60.0, True), (0.5, False)])
def test_where_the_store_goes_from_hand_to_hand_who_waits_is_patient(
    store, path, monkeypatch, longest_s, is_patient
):
    """Eight people who label without a pause on a busy host kept an export out for 8 s."""
    monkeypatch.setattr(gate_module, "DEADLINE_S", 0.3)
    monkeypatch.setattr(gate_module, "MAX_WAIT_S", longest_s)
    monkeypatch.setattr(gate_module, "_POLL_S", 0.06)
    store.add_class("cat")
    gate = str(gate_module.lock_path(path))
    with subprocess.Popen(
        [sys.executable, "-c", ROUND, gate, "30", "7"], stdout=subprocess.PIPE, text=True
    ) as others:
        assert others.stdout.readline() == "held\n"
        if is_patient:
            assert store.add_class("dog").position == 1
        else:
            with pytest.raises(BusyError, match="is being written by process 100"):
                store.add_class("dog")
        others.kill()
