"""Noise: the ratio that is asked for is the one that results, and pieces come from everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from dataset.augmentations.noise import Noise
from dataset.augmentations.recordings import Recordings
from tests.conftest import write_table
from tests.parts.waves import tone


@pytest.fixture
def folder(tmp_path):
    """Noise of 3 s at 16 kHz and of 0.2 s at 8 kHz, in folders with spaces and umlauts."""
    random = np.random.default_rng(0)
    for name, seconds, rate in (("a ü/long.wav", 3, 16000), ("b/short.flac", 0.2, 8000)):
        path = tmp_path / "noises" / name
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.1 * random.standard_normal(int(seconds * rate)), rate)
    (tmp_path / "noises" / "notes.txt").write_text("not audio")
    return tmp_path / "noises"


@pytest.mark.parametrize("snr", [-5.0, 0.0, 13.0])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 5.0])
def test_the_ratio_is_the_one_asked_for(folder, snr, seconds):
    wav = 0.3 * tone(440, seconds)
    for seed in range(6):
        torch.manual_seed(seed)
        noise = Noise(folder, [snr, snr])(wav) - wav
        ratio = 10 * torch.log10(wav.double().square().mean() / noise.double().square().mean())
        assert float(ratio) == pytest.approx(snr, abs=0.1)


def test_the_ratio_is_drawn_evenly_from_the_range(folder):
    torch.manual_seed(0)
    wav, augment = tone(440, 0.05), Noise(folder, [0, 20])
    ratios = [10 * torch.log10(wav.square().mean() / (augment(wav) - wav).square().mean()) for _ in range(300)]
    assert min(ratios) > -0.1 and max(ratios) < 20.1
    assert all(40 < sum(low <= r < low + 5 for r in ratios) < 110 for low in (0, 5, 10, 15))


def test_pieces_are_stretches_of_the_recordings_from_anywhere(folder):
    recording, _ = soundfile.read(folder / "a ü" / "long.wav", dtype="float32")
    only = Recordings(folder / "a ü")
    starts = []
    for seed in range(40):
        torch.manual_seed(seed)
        piece = only.draw_piece(1600).numpy()
        starts.append(int(np.argmin(np.abs(recording[:-1600] - piece[0]) + np.abs(recording[1:-1599] - piece[1]))))
        np.testing.assert_array_equal(piece, recording[starts[-1] : starts[-1] + 1600])
    assert min(starts) < 8000 and max(starts) > 36000 and len(set(starts)) > 35


def test_a_short_recording_is_repeated(folder):
    torch.manual_seed(1)
    piece = Recordings(folder / "b").draw_piece(8000)
    assert len(piece) == 8000 and torch.equal(piece[:3200], piece[3200:6400]) and piece.any()


def test_silence_and_no_samples_stay_as_they_are(folder, tmp_path):
    assert torch.equal(Noise(folder)(torch.zeros(100)), torch.zeros(100))
    assert len(Noise(folder)(torch.zeros(0))) == 0
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    table = write_table(tmp_path / "noise.csv", [{"wav_path": "silence.wav"}])
    assert torch.equal(Noise(table)(tone(440)), tone(440))


def test_a_csv_names_recordings_relative_to_it(folder, tmp_path):
    table = write_table(folder / "list.csv", [{"wav_path": "b/short.flac"}])
    assert Recordings(table).paths == [str(folder / "b" / "short.flac")]
    assert Recordings(folder).paths == [str(folder / "a ü" / "long.wav"), str(folder / "b" / "short.flac")]


@pytest.mark.parametrize(
    ("source", "message"),
    [(None, "source is not set"), ("nowhere", "nowhere does not exist"), ("empty", "holds no audio")],
)
def test_a_source_without_audio_is_refused(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        Noise(source)


def test_a_range_rises(folder):
    with pytest.raises(ValueError, match=r"snr is \[5, 0\]; expected \[least, greatest\]"):
        Noise(folder, [5, 0])
