"""The file of a compiled table: written once, tied to the content of its CSV, and left alone if it is another's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from dataset.metadata import read_csv, write_csv
from dataset.storage import compiled_table
from dataset.table import open_table
from tests.dataset.test_table import ROWS, cells
from tests.parts.python import ROOT


@pytest.fixture
def path(tmp_path):
    write_csv(tmp_path / "data.csv", ROWS)
    return tmp_path / "data.csv"


def test_it_is_compiled_once_and_again_when_the_csv_has_changed(path, monkeypatch):
    compiled, parsed = path.with_suffix(".arrow"), []
    plain = compiled_table._parsed
    monkeypatch.setattr(compiled_table, "_parsed", lambda *args: parsed.append(1) or plain(*args))
    os.utime(path, (1e9, 1e9))
    open_table(path), open_table(path)
    assert compiled.is_file() and len(parsed) == 1
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("null", "full"), encoding="utf-8")  # of the same size
    os.utime(path, (1e9, 1e9))  # and with the same time
    assert open_table(path).row(0)["text"] == "full" and len(parsed) == 2
    copy = path.parent / "copy"
    copy.mkdir()
    shutil.copy(path, copy), shutil.copy(compiled, copy)
    assert open_table(copy / "data.csv").row(0)["wav_path"] == str(copy / "a b.wav")
    assert len(parsed) == 2, "the content is the same"


def test_a_change_right_after_compiling_is_seen(path):
    for number in range(5):
        write_csv(path, [{**ROWS[0], "text": f"word{number}"}])
        assert open_table(path).row(0)["text"] == f"word{number}"


def test_a_damaged_file_is_compiled_again(path):
    whole = cells(open_table(path))
    compiled = path.with_suffix(".arrow")
    content = compiled.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"not arrow"):
        compiled.write_bytes(damaged)
        assert cells(open_table(path)) == whole
        assert compiled.stat().st_size == len(content)


def test_a_table_of_another_program_is_left_alone(path):
    import pyarrow as pa

    with pa.ipc.new_file(str(path.with_suffix(".arrow")), pa.schema([("x", pa.int64())])) as writer:
        writer.write_table(pa.table({"x": [1]}))
    before = path.with_suffix(".arrow").read_bytes()
    assert cells(open_table(path)) == read_csv(path, ()).to_dict("list")
    assert path.with_suffix(".arrow").read_bytes() == before


def test_without_write_access_it_is_compiled_in_memory(path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(compiled_table, "replacing", refuse)
    assert cells(open_table(path)) == read_csv(path, ()).to_dict("list")
    assert not path.with_suffix(".arrow").exists()


def test_processes_that_compile_at_once_agree(path):
    code = f"from dataset.table import open_table; t = open_table({str(path)!r}); print(len(t), t.row(2)['id'])"
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    assert {run.communicate(timeout=100)[0] for run in runs} == {b"3 c\n"}
    assert sorted(p.name for p in path.parent.iterdir()) == ["data.arrow", "data.csv"]
