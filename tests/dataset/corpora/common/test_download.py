"""A downloaded corpus is whole or absent, however the download ends."""

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


def test_the_unpacked_corpus_is_at_its_target_and_nothing_else_remains(tmp_path):
    target = tmp_path / "mit leerzeichen" / "corpus v1"
    fetch(target, unpack)
    assert (target / "a.wav").read_bytes() == b"whole"
    assert [path for path in target.parent.iterdir() if path.is_dir()] == [target]
    fetch(target, lambda scratch: pytest.fail("the corpus exists"))


def test_after_an_interruption_archives_are_kept_and_partial_folders_removed(tmp_path):
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
        return unpack(scratch)  # fails if the partial folder remains

    fetch(target, again)
    assert (target / "a.wav").is_file()


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("the hash is wrong")])
def test_a_failure_states_the_reason_and_the_way_out(error, tmp_path):
    def fail(scratch: Path) -> Path:
        raise error

    with pytest.raises(CorpusError, match=f"{error}; run again to continue.*dataset_root"):
        fetch(tmp_path / "corpus", fail)
    assert not (tmp_path / "corpus").exists()


def test_one_of_two_threads_downloads_and_the_other_waits(tmp_path):
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


def test_a_corpus_is_downloaded_on_request_only(tmp_path, monkeypatch):
    downloads = []

    def download(folder: Path, url: str, download: bool) -> None:
        downloads.append(url)
        (folder / "SpeechCommands" / url / "bed").mkdir(parents=True)

    monkeypatch.setattr("torchaudio.datasets.SPEECHCOMMANDS", download)
    with pytest.raises(CorpusError, match="no folder"):
        SpeechCommands(dataset_root=str(tmp_path / "gsc")).load(tmp_path)
    assert not downloads
    with pytest.raises(CorpusError, match="no folder for yes"):
        SpeechCommands(dataset_root=str(tmp_path / "gsc"), download=True, version="v0.02").load(tmp_path)
    assert downloads == ["speech_commands_v0.02"] and (tmp_path / "gsc" / "bed").is_dir()
