"""TextGrids beside audio, as Praat and the Montreal Forced Aligner write them: labels, times, speakers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.textgrid import TextGrid, read_tier

praatio = pytest.importorskip("praatio.textgrid")

WORDS = [(0.0, 0.1, ""), (0.1, 0.3, 'say "so"'), (0.3, 0.4, "sp"), (0.4, 0.5, "größe")]
PHONES = [(0.0, 0.1, "sil"), (0.1, 0.2, "s"), (0.2, 0.5, "oː")]


def grid(path: Path, form: str = "long_textgrid") -> Path:
    """A TextGrid with a tier of words, one of phones and one of points."""
    content = praatio.Textgrid()
    for name, intervals in (("words", WORDS), ("phones", PHONES)):
        content.addTier(praatio.IntervalTier(name, [i for i in intervals if i[2]], 0, 0.5))
    content.addTier(praatio.PointTier("clicks", [(0.2, "x")], 0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    content.save(str(path), form, includeBlankSpaces=True)
    return path


def load(train: Path, cache: Path, **settings) -> dict[str, dict[str, str]]:
    splits = TextGrid(str(train), test_fraction=0.3, valid_fraction=0, **settings).load(cache)
    return {row["id"]: row for row in splits.train + splits.test["test"]}


def test_words_with_their_times_and_speakers(tmp_path, write):
    for name in ("anna ü/1", "ben/1", "2"):
        write(f"corpus/{name}.wav")
        grid(tmp_path / f"corpus/{name}.TextGrid")
    rows = load(tmp_path / "corpus", tmp_path)
    assert rows["anna ü/1"] == {
        "id": "anna ü/1",
        "wav_path": str(tmp_path / "corpus/anna ü/1.wav"),
        "transcription": 'say "so" größe',
        "times": '[[0.1, 0.3, "say \\"so\\""], [0.4, 0.5, "größe"]]',
        "speaker": "anna ü",
    }
    assert {id: row["speaker"] for id, row in rows.items()} == {"anna ü/1": "anna ü", "ben/1": "ben", "2": ""}


def test_phones_of_alignments_in_a_folder_of_their_own(tmp_path, write):
    for name in ("anna/1", "ben/1"):
        write(f"corpus/train/{name}.flac")
        grid(tmp_path / f"aligned/train/{name}.TextGrid", "short_textgrid")
    settings = {"audio": str(tmp_path / "corpus"), "tier": "phones"}
    rows = load(tmp_path / "aligned/train", tmp_path, **settings)
    assert rows["ben/1"]["wav_path"] == str(tmp_path / "corpus/train/ben/1.flac")
    assert (rows["ben/1"]["transcription"], json.loads(rows["ben/1"]["times"])) == (
        "s oː",
        [[0.1, 0.2, "s"], [0.2, 0.5, "oː"]],
    )
    assert load(tmp_path / "aligned/train", tmp_path, **settings, silences=["s"])["ben/1"]["transcription"] == "sil oː"


def test_praats_utf16_is_read(tmp_path):
    path = grid(tmp_path / "a.TextGrid")
    path.write_bytes(path.read_text("utf-8").encode("utf-16"))
    assert read_tier(path, "words")[-1] == (0.4, 0.5, "größe")


def test_mistakes_are_named(tmp_path, write):
    def error(**settings) -> str:
        with pytest.raises(CorpusError) as caught:
            load(tmp_path / "corpus", tmp_path, **settings)
        return str(caught.value)

    assert "a folder of TextGrids: there is no folder" in error()
    (tmp_path / "corpus").mkdir()
    assert "corpus lists no utterance" in error()
    path = grid(tmp_path / "corpus/a.TextGrid")
    assert f"{path}: expected one audio file called a, got none" in error()
    write("corpus/a.wav")
    assert "a.TextGrid has no tier 'word' (did you mean 'words'?); it has words, phones, clicks" in error(tier="word")
    assert "the tier 'clicks' has points; expected intervals" in error(tier="clicks")
    write("corpus/a.flac")
    assert "expected one audio file called a, got" in error() and "a.flac" in error()
    (tmp_path / "corpus/a.flac").unlink()
    for content in (b"", b"nothing", path.read_bytes()[:300]):
        path.write_bytes(content)
        assert f"{path} cannot be read as a TextGrid" in error()


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    grid(tmp_path / "a.TextGrid")
    monkeypatch.setitem(sys.modules, "praatio", None)
    with pytest.raises(CorpusError, match=r"pip install \"soundstage\[textgrid\]\""):
        read_tier(tmp_path / "a.TextGrid", "words")
