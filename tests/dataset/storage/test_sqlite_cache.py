"""A cache of one table: rows come back by path, a damaged file is replaced, an unusable one does without."""

from __future__ import annotations

import logging
import multiprocessing
import sqlite3

import pytest

from dataset.storage.sqlite_cache import SqliteCache

COLUMNS = {"path": "TEXT", "size": "INTEGER", "seconds": "REAL"}
ROWS = [(f"/ü '{number}\".wav", number, number / 3) for number in range(100)]


def cache_in(folder):
    return SqliteCache(folder / "lengths.sqlite", COLUMNS)


def rows_in(folder):
    return sorted(cache_in(folder).load(path for path, *_ in ROWS), key=ROWS.index)


def test_only_the_rows_of_the_files_asked_for_come_back(tmp_path):
    cache_in(tmp_path / "cache").save(ROWS)
    cache = cache_in(tmp_path / "cache")
    assert sorted(cache.load([ROWS[3][0], "/other.wav", ROWS[5][0]])) == sorted([ROWS[3], ROWS[5]])
    assert cache.load([]) == []


def test_a_row_replaces_the_earlier_one_of_its_file(tmp_path):
    cache = cache_in(tmp_path)
    cache.save(ROWS[:2])
    cache.save([(ROWS[0][0], 7, 0.5)])
    assert sorted(cache.load([ROWS[0][0], ROWS[1][0]]), key=lambda row: row[1]) == [ROWS[1], (ROWS[0][0], 7, 0.5)]


@pytest.mark.parametrize("damage", ["not a database", "bytes", "journal"])
def test_a_damaged_file_is_moved_aside_and_started_again(tmp_path, caplog, damage):
    cache_in(tmp_path).save(ROWS)
    path, journal = tmp_path / "lengths.sqlite", tmp_path / "lengths.sqlite-journal"
    content = bytearray(path.read_bytes())
    if damage == "bytes":
        content[150:] = b"\xa5" * (len(content) - 150)
    path.write_bytes(b"garbage" * 500 if damage != "bytes" else content)
    if damage == "journal":
        journal.write_bytes(b"garbage")
    with caplog.at_level(logging.WARNING):
        assert cache_in(tmp_path).load([ROWS[0][0]]) == []
    assert "lengths.sqlite is damaged" in caplog.text
    assert (tmp_path / "lengths.sqlite.corrupt").exists() and not journal.exists()
    cache_in(tmp_path).save(ROWS)
    assert rows_in(tmp_path) == ROWS


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        cache_in(tmp_path / "file" / "cache").save(ROWS)
        assert rows_in(tmp_path / "file" / "cache") == []
    assert "cannot be used" in caplog.text


def test_a_table_of_another_form_is_a_warning(tmp_path, caplog):
    with sqlite3.connect(tmp_path / "lengths.sqlite") as db:
        db.execute("CREATE TABLE lengths (path TEXT PRIMARY KEY)")
    db.close()
    with caplog.at_level(logging.WARNING):
        cache_in(tmp_path).save(ROWS)
    assert "cannot be used" in caplog.text


def save(folder, rows):
    cache_in(folder).save(rows)


def test_several_processes_write_at_once(tmp_path):
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.starmap(save, [(tmp_path, ROWS[start::6]) for start in range(6)])
    assert rows_in(tmp_path) == ROWS
