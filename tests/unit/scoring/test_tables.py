"""The score table: ranking, cells and writers."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from score_rows import scored, unreadable

from dgaal_cli.errors import MissingExtraError, StorageError, UsageError
from dgaal_cli.escaping import cell, show, uncell, unspell
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring import ranking as ranking_module
from dgaal_cli.scoring.ranking import (
    BestThenUnreadable,
    FullRanking,
    Ranking,
    TopRanking,
)
from dgaal_cli.scoring.rows import BLOCK_ROWS, COLUMNS, Row, Rows, pack, unpack
from dgaal_cli.scoring.writers import (
    format_float,
    format_floats,
    table_writer,
    write_csv,
    write_jsonl,
)

ODD_NAMES = [
    "\udcff.png",
    "\x1b]52;c;x\x07.png",
    "a\nb.png",
    "=cmd()",
    "'quoted",
    "-1",
    "[/b]",
    "\\x41",
]


def row(name: str, score: float = 1.0) -> Row:
    return scored(SampleId(name), f"/pool/{name}", score, 0.25, ("cat", 0.5))


def rows(count: int) -> list[Row]:
    """Return unsorted rows with many tied scores and some unreadable images."""
    found = [
        row(f"{number:05d}", float(np.float32(number * 7 % 97) / 97)) for number in range(count)
    ]
    bad = [unreadable(SampleId(f"bad{n}"), "", "empty file") for n in range(count // 50)]
    return [*bad, *found]


def expected(items: list[Row]) -> list[Row]:
    ok = sorted((r for r in items if not r.is_unreadable), key=lambda r: (-r.score, r.id))
    return ok + sorted((r for r in items if r.is_unreadable), key=lambda r: r.id)


def ranked(table: Ranking) -> list[Row]:
    return [row for block in table.ranked() for row in block]


def test_rows_are_sorted_by_score_then_id_with_unreadable_last() -> None:
    items = [
        unreadable(SampleId("a"), "", "x"),
        row("c", 0.5),
        row("b", -1.0),
        row("d", 2.0),
        row("a2", 0.5),
    ]
    with FullRanking() as table:
        table.add(Rows.of(items))
        assert [item.id for item in ranked(table)] == ["d", "a2", "c", "b", "a"]


@given(st.lists(st.tuples(st.sampled_from([None, -1.0, 0.0, -0.0, 0.5]), st.text("abc"))))
def test_rows_order_equals_sorting_single_rows(items: list[tuple[float | None, str]]) -> None:
    single = [
        unreadable(SampleId(f"{name}{n}"), "", "x") if score is None else row(f"{name}{n}", score)
        for n, (score, name) in enumerate(items)
    ]
    rows = Rows.of(single)
    assert list(rows) == single
    assert list(rows.take(rows.order())) == sorted(single)
    assert list(rows.readable()) + list(rows.unreadable()) == sorted(
        single, key=lambda one: one.is_unreadable
    )


@pytest.mark.parametrize("in_memory", [1, 10, 100, 10_000])
def test_table_sorted_through_files_equals_sorting_in_memory(
    tmp_path: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking_module, "_FAN_IN", 5)
    monkeypatch.setattr(ranking_module, "BLOCK_ROWS", 7)
    monkeypatch.setattr(ranking_module, "_PARTS", 3)
    items = rows(400)
    with FullRanking(tmp_path, rows_in_memory=in_memory) as table:
        for start in range(0, len(items), 9):
            table.add(Rows.of(items[start : start + 9]))
        assert ranked(table) == expected(items)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 3, 100, 1000])
def test_top_ranking_is_the_head_of_the_full_table(count: int) -> None:
    items = rows(900) * 3  # many more than are kept
    items = [r._replace(id=SampleId(f"{n}-{r.id}")) for n, r in enumerate(items)]
    table = TopRanking(count)
    for start in range(0, len(items), 50):
        table.add(Rows.of(items[start : start + 50]))
        assert sum(map(len, table._parts)) <= 2 * count + BLOCK_ROWS + 50
    ok = [r for r in expected(items) if not r.is_unreadable]
    parts = len(table._parts)
    table.add(Rows.of([unreadable(SampleId("bad"), "", "why")]))
    assert len(table._parts) == parts  # images without a score are not stored
    assert ranked(table) == ok[:count]


def test_top_ranking_is_returned_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_module, "BLOCK_ROWS", 10)
    table = TopRanking(25)
    table.add(Rows.of(rows(100)))
    assert [len(block) for block in table.ranked()] == [10, 10, 5]


def test_unreadable_images_follow_the_best_with_bounded_memory(tmp_path: Path) -> None:
    items = [unreadable(SampleId(f"{n:03d}"), "", "why") for n in range(500)] + rows(90)
    with FullRanking(tmp_path, rows_in_memory=40) as bad:
        table = BestThenUnreadable(TopRanking(3), bad)
        for start in range(0, len(items), 9):
            table.add(Rows.of(items[start : start + 9]))
            assert sum(map(len, bad._parts)) < 40
        ordered = expected(items)
        ok = [r for r in ordered if not r.is_unreadable]
        assert ranked(table) == ok[:3] + ordered[len(ok) :]


def test_write_error_while_sorting_raises_storage_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with FullRanking(gone, rows_in_memory=1) as table, pytest.raises(StorageError, match="--top"):
        table.add(Rows.of([row("a")]))


def test_pack_and_unpack_keep_names_and_score_bits() -> None:
    score = float(np.float32(0.1))
    items = [row(name, score) for name in ODD_NAMES] + [unreadable(SampleId("x"), "p", "why")]
    found = list(unpack(pack(Rows.of(items))))
    assert found == items
    assert found[0].score.hex() == score.hex()


@given(st.lists(st.floats(width=32, allow_nan=False)))
@example([0.0, -0.0, 1e-4, 9.9999e-5, 1e6, 999999.94, -1e-4, 0.001, 1000.0, 16777216.0, 0.1])
def test_format_floats_equals_format_float(values: list[float]) -> None:
    assert format_floats(np.array(values, np.float32)) == [format_float(v) for v in values]


def test_formatted_floats_round_trip() -> None:
    bits = np.random.default_rng(0).integers(0x38000000, 0x4A000000, 20_000, np.uint32)
    values = np.concatenate([bits.view(np.float32), np.arange(-50, 50, dtype=np.float32) / 8])
    csv_row = format_floats(values)
    np.testing.assert_array_equal(np.array(csv_row, np.float64).astype(np.float32), values)
    assert csv_row == [format_float(value) for value in values]
    assert format_floats(np.array([np.nan, 0.5], np.float32)) == ["", "0.5"]


@given(st.text() | st.binary().map(os.fsdecode) | st.sampled_from(ODD_NAMES))
def test_cell_is_safe_and_reversible(name: str) -> None:
    guarded = cell(name)
    assert show(guarded) == guarded
    assert not guarded.startswith(("=", "+", "-", "@"))
    guarded.encode()
    assert uncell(guarded) == name


def test_cell_keeps_safe_names() -> None:
    for name in ("a/b c.png", "été.png", "a\\b.png", "[b].png"):
        assert cell(name) == name


def test_csv_has_the_documented_columns_and_shortest_floats() -> None:
    stream = io.BytesIO()
    items = [
        scored(SampleId("a,b"), "/p/a,b", float(np.float32(0.1)), None, ("", None)),
        scored(SampleId("=x"), "/p/=x", -1e-12, float(np.float32(1 / 3)), ("@cat", 1.0)),
        unreadable(SampleId("z\n"), "/p/z", "empty file"),
    ]
    write_csv(stream, [Rows.of(items)])
    assert stream.getvalue().decode() == (
        "rank,id,path,score,p_unlabeled,predicted,confidence,status,error\n"
        '1,"a,b","/p/a,b",0.1,,,,ok,\n'
        "2,'=x,/p/=x,-1e-12,0.33333334,'@cat,1.0,ok,\n"
        ",z\\u{a},/p/z,,,,,unreadable,empty file\n"
    )
    assert not stream.closed


@given(
    st.lists(
        st.text(alphabet="ab,\"\n\r;'=é\\ ") | st.sampled_from(ODD_NAMES) | st.just("plain"),
        max_size=12,
    )
)
def test_csv_equals_output_of_the_standard_writer(names: list[str]) -> None:
    items = [row(name, 1.0 / (place + 3)) for place, name in enumerate(names)]
    items.append(unreadable(SampleId(names[0] if names else "x"), "p", "why, though"))
    expected, found = io.StringIO(), io.BytesIO()
    table = csv.writer(expected, lineterminator="\n")
    table.writerow(COLUMNS)
    for rank, item in enumerate(items[:-1], start=1):
        score = str(np.float32(item.score))
        numbers = (score, "0.25", "cat", "0.5", "ok", "")
        table.writerow((rank, cell(item.id), cell(item.path), *numbers))
    last = items[-1]
    table.writerow(("", cell(last.id), "p", "", "", "", "", "unreadable", "why, though"))
    write_csv(found, [Rows.of(items)])
    assert found.getvalue().decode() == expected.getvalue()


def test_csv_written_in_blocks_equals_csv_in_one_block() -> None:
    whole, parts = io.BytesIO(), io.BytesIO()
    items = expected(rows(300))
    write_csv(whole, [Rows.of(items)])
    write_csv(parts, (Rows.of(items[start : start + 7]) for start in range(0, len(items), 7)))
    assert parts.getvalue() == whole.getvalue()


def test_csv_jsonl_and_parquet_contain_the_same_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    items = [row(name, 1.0 / (n + 3)) for n, name in enumerate(ODD_NAMES)]
    items = [*items, unreadable(SampleId("bad"), "/pool/bad", "empty file")]
    files = {}
    for suffix in (".csv", ".jsonl", ".parquet"):
        files[suffix] = tmp_path / f"t{suffix}"
        with files[suffix].open("wb") as stream:
            table_writer(files[suffix])(stream, iter([Rows.of(items)]))
    lines = [json.loads(line) for line in files[".jsonl"].read_text().splitlines()]
    assert [line["id"] for line in lines] == [item.id for item in items]
    assert all(tuple(line) == COLUMNS for line in lines)
    with files[".csv"].open(newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert [uncell(cell["id"]) for cell in cells] == [item.id for item in items]
    table = parquet.read_table(files[".parquet"]).to_pylist()
    assert [unspell(line["id"]) for line in table] == [item.id for item in items]
    for line, csv_row, parquet_row in zip(lines[:-1], cells, table, strict=False):
        assert (
            np.float32(line["score"])
            == np.float32(csv_row["score"])
            == np.float32(parquet_row["score"])
        )
    assert lines[-1]["rank"] is table[-1]["rank"] is None
    assert cells[-1]["rank"] == cells[-1]["score"] == ""


def test_jsonl_is_plain_ascii() -> None:
    stream = io.BytesIO()
    write_jsonl(stream, [Rows.of(row(name) for name in ODD_NAMES)])
    assert stream.getvalue().replace(b"\n", b"").decode("ascii").isprintable()


def test_unknown_suffix_and_missing_pyarrow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"ends in \.csv, \.jsonl, \.parquet"):
        table_writer(Path("scores.xlsx"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="parquet"):
        table_writer(Path("scores.parquet"))
