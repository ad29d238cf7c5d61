"""Downloads that are there whole or not at all, however they end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.common.download import fetch
from dataset.corpora.speech_commands import SpeechCommands


def unpack(scratch: Path) -> Path:
    (scratch / "corpus").mkdir()
    (scratch / "corpus" / "a.wav").write_bytes(b"whole")
    return scratch / "corpus"


def test_what_was_unpacked_stands_where_it_was_asked_for_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "mit leerzeichen" / "corpus v1"
    fetch(target, unpack)
    assert (target / "a.wav").read_bytes() == b"whole"
    assert [path for path in target.parent.iterdir() if path.is_dir()] == [target]
    fetch(target, lambda scratch: pytest.fail("it is there already"))


def test_after_an_interruption_archives_are_kept_and_half_unpacked_folders_go(tmp_path):
    target = tmp_path / "corpus"

    def cut(scratch: Path) -> Path:
        (scratch / "archive.tar.gz").write_bytes(b"archive")
        unpack(scratch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(target, cut)
    assert not target.exists()

    def again(scratch: Path) -> Path:
        assert (scratch / "archive.tar.gz").read_bytes() == b"archive"
        return unpack(scratch)  # fails where the half of before still stands

    fetch(target, again)
    assert (target / "a.wav").is_file()


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("the hash is wrong")])
def test_a_failure_says_why_and_what_to_do(error, tmp_path):
    def fail(scratch: Path) -> Path:
        raise error

    with pytest.raises(CorpusError, match=f"{error}; run again to go on.*dataset_root"):
        fetch(tmp_path / "corpus", fail)
    assert not (tmp_path / "corpus").exists()


def test_of_two_at_once_one_downloads_and_the_other_finds_it(tmp_path):
    calls, started = [], threading.Event()

    def slow(scratch: Path) -> Path:
        calls.append(scratch)
        started.set()
        threading.Event().wait(0.2)
        return unpack(scratch)

    threads = [threading.Thread(target=fetch, args=(tmp_path / "corpus", slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and (tmp_path / "corpus" / "a.wav").is_file()


def test_nothing_is_downloaded_unless_it_is_asked_for(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(SpeechCommands, "_get", lambda self, scratch: asked.append(scratch) or unpack(scratch))
    with pytest.raises(CorpusError, match="no folder"):
        SpeechCommands(dataset_root=str(tmp_path / "gsc")).load(tmp_path)
    assert not asked
    with pytest.raises(CorpusError, match="no folder for yes"):
        SpeechCommands(dataset_root=str(tmp_path / "gsc"), download=True).load(tmp_path)
    assert len(asked) == 1 and (tmp_path / "gsc" / "a.wav").is_file()
