"""Kaldi's data folders: segments, speakers and other files become columns, and what cannot be read is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.manifests.kaldi import Kaldi, read_kaldi


def folder(path: Path, **files: str) -> Path:
    """A data folder; ``wav_scp`` is wav.scp."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("wav_scp", "wav.scp")).write_bytes(text.encode("utf-8"))
    return path


def rows(path: Path) -> dict[str, dict[str, str]]:
    return {row["id"]: row for _, row in read_kaldi(path)[1]}


def test_files_become_columns(tmp_path):
    data = folder(
        tmp_path / "data",
        wav_scp="u1 /a b/1.wav\r\nu2 /2.flac\n\n",
        text="\ufeffu1 größe  und Maß\r\nu2\n",
        utt2spk="u1 anna\nu2 ben\n",
        spk2utt="anna u1\nben u2\n",
        spk2gender="anna f\nben m\n",
        utt2lang="u1 de\n",
        utt2dialect="u2 far south\n",
        utt2dur="u1 1.5\nu2 2\n",
        utt2num_frames="u1 148\n",
    )
    assert rows(data) == {
        "u1": {"id": "u1", "wav_path": "/a b/1.wav", "transcription": "größe  und Maß", "speaker": "anna",
               "gender": "f", "language": "de", "dialect": ""},
        "u2": {"id": "u2", "wav_path": "/2.flac", "transcription": "", "speaker": "ben",
               "gender": "m", "language": "", "dialect": "far south"},
    }  # fmt: skip


def test_segments_are_pieces_of_recordings(tmp_path):
    data = folder(tmp_path, wav_scp="r /r.wav\n", segments="a r 0.00 1.25\nb r 1.25 -1\n", text="b two\na one\n")
    file, lines = read_kaldi(data)
    assert file == tmp_path / "segments"
    assert lines == [
        (1, {"id": "a", "wav_path": "/r.wav", "start_sec": "0", "end_sec": "1.25", "transcription": "one"}),
        (2, {"id": "b", "wav_path": "/r.wav", "start_sec": "1.25", "end_sec": "", "transcription": "two"}),
    ]


def test_speakers_called_as_their_utterances_are_unknown(tmp_path):
    assert "speaker" not in rows(folder(tmp_path, wav_scp="u /u.wav\n", utt2spk="u u\n"))["u"]


def test_relative_paths_start_here_or_else_in_the_folder(tmp_path, write, monkeypatch):
    write("here/wav/a.wav"), write("data/wav/b.wav"), write("data/wav/a.wav")
    folder(tmp_path / "data", wav_scp="a wav/a.wav\nb wav/b.wav\nc wav/c.wav\n")
    monkeypatch.chdir(tmp_path / "here")
    splits = Kaldi(str(tmp_path / "data"), test_fraction=0.3, valid_fraction=0).load(tmp_path)
    paths = {row["id"]: row["wav_path"] for row in splits.train + splits.test["test"]}
    assert paths == {name: str(tmp_path / place) for name, place in (
        ("a", "here/wav/a.wav"), ("b", "data/wav/b.wav"), ("c", "here/wav/c.wav"),
    )}  # fmt: skip


def test_the_decoder_of_flac_is_read_as_its_file(tmp_path):
    data = folder(tmp_path, wav_scp="a flac -c -d -s /my/a.flac |\nb /usr/bin/flac -cd '/my b.flac' |\n")
    assert [row["wav_path"] for row in rows(data).values()] == ["/my/a.flac", "/my b.flac"]


@pytest.mark.parametrize(
    "files, message",
    [
        ({"wav_scp": "a sph2pipe -f wav a.sph |\n"}, "wav.scp, line 1: the audio comes from a command, which is not"),
        ({"wav_scp": "a flac -c -d -s a.flac | sox - b |\n"}, "wav.scp, line 1: the audio comes from a command"),
        ({"wav_scp": "a a.wav\nb x.ark:1234\n"}, "wav.scp, line 2: the audio is in a Kaldi archive"),
        ({"wav_scp": "a\n"}, "wav.scp, line 1: the path of the audio is missing"),
        ({"wav_scp": "a a.wav\n\na b.wav\n"}, "wav.scp, line 3: line 1 has the same id 'a'"),
        ({"wav_scp": "a a.wav\n", "text": "a x\nb y\n"}, "text, line 2: wav.scp has no utterance 'b'; mend .*fix_data"),
        ({"wav_scp": "a a.wav\nb b.wav\n", "text": "b y\n"}, "text has no line for the utterance 'a' of wav.scp"),
        ({"wav_scp": "a a.wav\n", "segments": "u a 0\n"}, "segments, line 1: expected an utterance, a recording, a"),
        ({"wav_scp": "a a.wav\n", "segments": "u b 0 1\n"}, "segments, line 1: wav.scp has no recording 'b'"),
        ({"wav_scp": "a a.wav\n", "segments": "u a 0 x\n"}, "segments, line 1: the end is 'x'; expected a number"),
        ({"wav_scp": "a a.wav\n", "segments": "u a -1 2\n"}, "segments, line 1: the start is '-1'"),
        (
            {"wav_scp": "l a.wav\nr a.wav\n", "reco2file_and_channel": "l a A\nr a B\n"},
            "reco2file_and_channel, line 2: 'l' and 'r' are channels A and B of one file, a.wav",
        ),
    ],
)
def test_what_cannot_be_read_is_named_with_file_and_line(tmp_path, files, message):
    with pytest.raises(CorpusError, match=message):
        read_kaldi(folder(tmp_path, **files))


def test_other_mistakes(tmp_path):
    with pytest.raises(CorpusError, match="a Kaldi data folder: there is no folder .*nowhere"):
        Kaldi(str(tmp_path / "nowhere")).sources()  # for want of a test set
    with pytest.raises(CorpusError, match="there is no file .*wav.scp"):
        read_kaldi(folder(tmp_path / "a", text="u x\n"))
    with pytest.raises(CorpusError, match="wav.scp lists no utterance"):
        Kaldi(str(folder(tmp_path / "b", wav_scp="\n")), test_fraction=0.1).load(tmp_path)
    (tmp_path / "b" / "wav.scp").write_bytes(b"a a.wav\nb \xff.wav\n")
    with pytest.raises(CorpusError, match="wav.scp, line 2: not UTF-8 .byte 0xff"):
        read_kaldi(tmp_path / "b")


def test_a_file_that_changes_or_appears_is_a_source(tmp_path):
    data = folder(tmp_path / "data/train.v1", wav_scp="a a.wav\nb b.wav\n", utt2spk="a s\nb t\n", utt2dur="a 1\n")
    test = folder(tmp_path / "data/test.v1", wav_scp="c c.wav\n")
    corpus = Kaldi(str(data), test=str(test), valid_fraction=0)
    assert [path.name for path in corpus.sources()] == ["wav.scp", "utt2spk", "wav.scp"]
    assert list(corpus.load(tmp_path).test) == ["test.v1"]
    (data / "text").write_text("a x\nb y\n")
    assert data / "text" in corpus.sources()
