"""Metadata CSVs: strings survive, bytes are stable, and mistakes are named."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from dataset.metadata import MetadataError, numbers, read_csv, write_csv

TRICKY = [
    "null",
    "NA",
    "nan",
    "None",
    "",
    " padded ",
    'say "hi", please',
    "two\nlines",
    "a\rb",
    "größe 音声",
    "#1",
    "'",
]


@pytest.fixture
def table(tmp_path):
    def table(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return table


def test_strings_survive_a_round_trip(tmp_path):
    path = tmp_path / "data" / "größe mit leerzeichen.csv"
    rows = [
        {"id": f"{i:04}", "wav_path": f"/a/{i}.wav", "seconds": 1.5, "transcription": text}
        for i, text in enumerate(TRICKY)
    ]
    write_csv(path, rows)
    df = read_csv(path, ["id", "transcription"])
    assert df["transcription"].tolist() == TRICKY
    assert df["id"].tolist() == [f"{i:04}" for i in range(len(TRICKY))]
    assert all(type(cell) is str for cell in df.to_numpy().ravel())


def test_pandas_reads_what_we_write(tmp_path):
    texts = [text for text in TRICKY if "\r" not in text]
    write_csv(tmp_path / "a.csv", [{"id": str(i), "text": text} for i, text in enumerate(texts)])
    df = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    assert df["text"].tolist() == texts


def test_columns_order_and_bytes(tmp_path):
    path = tmp_path / "a.csv"
    rows = [
        {"spk": "x", "seconds": np.float64(0.1), "id": 1},
        {"id": 2, "zeta": None, "wav_path": "b", "alpha": True},
    ]
    write_csv(path, rows)
    assert path.read_bytes() == b"id,wav_path,seconds,spk,zeta,alpha\n1,,0.1,x,,\n2,b,,,,True\n"
    write_csv(path, rows, first_columns=("alpha", "absent"))
    assert path.read_text().startswith("alpha,spk,seconds,id,zeta,wav_path\n")
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, [{"id": "old"}])
    with pytest.raises(MetadataError, match="row 2, column 'text': NaN"):
        write_csv(path, [{"id": "new", "text": float("nan")}])
    with pytest.raises(UnicodeEncodeError):
        write_csv(path, [{"id": "\ud800"}])
    assert path.read_text() == "id\nold\n" and os.listdir(tmp_path) == ["a.csv"]


def test_one_row_and_byte_order_mark_and_windows_line_ends(table):
    for encoding in ("utf-8", "utf-8-sig"):
        df = read_csv(table("id,text\r\n0012,é\r\n\r\n", encoding=encoding), ["id", "text"])
        assert df.to_dict("records") == [{"id": "0012", "text": "é"}]


def test_paths_are_taken_from_the_folder_of_the_csv(table, tmp_path, monkeypatch):
    table("id,wav_path,wav_path1,wav_path2\na,x/y z.wav,/abs.wav,../b.wav\n")
    monkeypatch.chdir(tmp_path)
    row = read_csv("t.csv", ["wav_path"]).iloc[0]
    assert row["wav_path"] == str(tmp_path / "x" / "y z.wav")
    assert row["wav_path1"] == "/abs.wav"
    assert os.path.normpath(row["wav_path2"]) == str(tmp_path.parent / "b.wav")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "file is empty"),
        ("\n\n", "file is empty"),
        ("id,text\n", "no row below"),
        ("id,txt\na,b\n", r"no column 'text'; the columns are 'id', 'txt' \(did you mean 'txt'\?\); rename"),
        ("id;text\na;b\n", "no column 'id'.*separate the cells with commas"),
        ("id,wav\na,b\n", "no column 'text'.*add it"),
        ("id,text,text\na,b,c\n", "'text' twice"),
        ("id,text\na,b\nc,d\na,e\n", "the id 'a' is in rows 2 and 4"),
        ("id,text\na,b\n,d\n", "row 3: the id is empty"),
        ("id,text\na,b\nc\n", r"row 3 \('c'\): 1 cells, the header has 2"),
        ("id,text\na,well, yes\n", r"row 2 \('a'\): 3 cells.*double quotes"),
        ('id,text\na,"open\nb,c\n', "not a CSV.*close every quote"),
        ("id,text,wav_path\na,b,\n", "row 2: wav_path is empty"),
    ],
)
def test_mistakes_are_named(table, text, message):
    path = table(text)
    with pytest.raises(MetadataError, match=f"(?s)t.csv.*{message}"):
        read_csv(path, ["id", "text"])


def test_a_table_may_be_empty_if_asked(table):
    df = read_csv(table("id,text\n"), ["id", "text"], may_be_empty=True)
    assert df.empty and list(df.columns) == ["id", "text"]
    assert len(numbers(df, "text", "t.csv")) == 0


def test_unreadable_files(table, tmp_path):
    with pytest.raises(MetadataError, match="none.csv: no such file"):
        read_csv(tmp_path / "none.csv", [])
    with pytest.raises(MetadataError, match=r"not UTF-8 \(byte 0xfc\).*in UTF-8"):
        read_csv(table("id,text\na,müde\n", encoding="latin-1"), [])
    with pytest.raises(MetadataError, match="cannot be read"):
        read_csv(tmp_path, [])


def test_duplicate_ids_are_fine_without_an_id_column(table):
    assert len(read_csv(table("record_id,speaker\na,1\na,1\n"), ["record_id"])) == 2


def test_numbers(table):
    path = table("id,seconds\na,1.5\nb,0.1\nc, 3e1\n")
    values = numbers(read_csv(path, []), "seconds", path)
    assert values.dtype == np.float64 and values.tolist() == [1.5, 0.1, 30.0]


@pytest.mark.parametrize("bad", ["", "1,5", "ten", "nan", "inf", "None"])
def test_the_first_bad_number_is_named(table, bad):
    path = table(f'id,seconds\na,1\nb,"{bad}"\nc,x\n')
    with pytest.raises(MetadataError, match=f"t.csv, row 3, column 'seconds': '{bad}' is not a finite number"):
        numbers(read_csv(path, []), "seconds", path)
    with pytest.raises(MetadataError, match="no column 'second'.*did you mean 'seconds'"):
        numbers(read_csv(path, []), "second", path)
