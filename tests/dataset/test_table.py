"""The compiled table: the cells of the CSV, compiled once, and again when the CSV has changed."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from dataset.metadata import MetadataError, read_csv, write_csv
from dataset.table import Table, open_table

ROWS = [
    {"id": "a", "wav_path": "a b.wav", "seconds": "1.25", "start_sec": "", "text": "null"},
    {"id": "0012", "wav_path": "/x/ü.wav", "seconds": "0.5", "start_sec": "0.25", "text": 'say "so", twice\n'},
    {"id": "c", "wav_path": "c.wav", "seconds": "2", "start_sec": "", "text": ""},
]


@pytest.fixture
def path(tmp_path):
    write_csv(tmp_path / "data.csv", ROWS)
    return tmp_path / "data.csv"


def cells(table):
    return {name: list(values) for name, values in table.columns.items()}


def test_a_table_has_the_cells_of_the_csv_and_their_numbers(path):
    table = open_table(path, ("id", "text"))
    assert cells(table) == read_csv(path, ()).to_dict("list") and len(table) == 3
    assert table.row(1) == list(table.rows())[1] == read_csv(path, ()).to_dict("records")[1]
    assert table.numbers("seconds").tolist() == [1.25, 0.5, 2.0]
    assert np.array_equal(table.times("start_sec"), [np.nan, 0.25, np.nan], equal_nan=True)
    assert table.times("end_sec") is None
    assert table.by_length.tolist() == [2, 0, 1]
    assert not table.numbers("seconds").flags.owndata, "mapped, not copied"
    assert cells(pickle.loads(pickle.dumps(table))) == cells(table)


@pytest.mark.parametrize(
    "text",
    [
        "id,text\na,x\n",
        "id,text\r\na,x\r\n\r\nb,y",
        "\ufeffid,text\na,x\n",
        'id,text\n"a\nb","x ""y"" z"\n',
        "id\na\n\nb\n",
        "id,text\n",
        'id,text\na,"cut\rhere"\n',
        "id,text\na, spaced \n",
        'id,text\na,5" nail\n',
        "id,NA\nNaN,None\n",
        '"id","two\nlines"\na,b\n',
        "id,text\na,音声 🎤\n",
    ],
)
def test_unusual_files_are_read_as_by_the_strict_reader(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8", newline="")
    for _ in range(2):  # compiled, and opened again
        assert cells(open_table(path, may_be_empty=True)) == read_csv(path, (), may_be_empty=True).to_dict("list")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id,text\na\n",
        "id,text\na,b,c\n",
        "id,text\na,b\na,c\n",
        "id,id\na,b\n",
        "id,wav_path\na,\n",
        "id\n\xff",
        'id\n"a',
        'id,b\n"a"x,c\n',
        'id,b\n""x,c\n',
    ],
)
def test_a_bad_file_is_explained_as_by_the_strict_reader(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(MetadataError) as expected:
        read_csv(path, ())
    with pytest.raises(MetadataError) as got:
        open_table(path)
    assert str(got.value) == str(expected.value)
    with pytest.raises(MetadataError, match="no such file"):
        open_table(tmp_path / "none.csv")


def test_missing_columns_and_cells_that_are_no_numbers_are_named(tmp_path, path):
    with pytest.raises(MetadataError, match="no column 'label'; the columns are 'id', 'wav_path'"):
        open_table(path, ("label",))
    with pytest.raises(MetadataError, match="no column 'label'"):
        open_table(path).strings("label")
    write_csv(path, [{**ROWS[0], "seconds": "1"}, {**ROWS[1], "seconds": "x"}])
    with pytest.raises(MetadataError, match=r"row 3, column 'seconds': 'x' is not a finite number"):
        open_table(path).numbers("seconds")
    write_csv(path, [{**ROWS[0], "seconds": ""}, {**ROWS[1], "start_sec": "inf"}])
    with pytest.raises(MetadataError, match=r"row 2, column 'seconds': '' is not"):
        open_table(path).numbers("seconds")
    with pytest.raises(MetadataError, match=r"row 3, column 'start_sec': 'inf' is not"):
        open_table(path).times("start_sec")
    write_csv(path, [], ("id", "seconds"))
    with pytest.raises(MetadataError, match="no row below the header"):
        open_table(path)


def test_a_table_of_derived_rows_needs_no_file(tmp_path):
    df = pd.DataFrame([{"id": "a\udcff", "seconds": "1"}], dtype=object)
    table = Table.of(df, tmp_path / "trials.csv")
    assert table.row(0) == {"id": "a\udcff", "seconds": "1"} and table.numbers("seconds").tolist() == [1.0]
    assert table.by_length is None and not list(tmp_path.iterdir())
