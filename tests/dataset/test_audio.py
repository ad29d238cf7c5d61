"""Audio files: what can be read is read right, and what cannot is refused with its name."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from dataset import audio
from tests.parts.audio_files import NOISE, bad_files, patched, tone


def test_info_tells_the_header(write):
    path = write("a.wav", np.zeros((8000, 2)), 8000)
    assert audio.info(path) == (1.0, 8000, 2, 8000)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "w64", "rf64"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_formats_and_rates(write, suffix, rate):
    path = write(f"a.{suffix}", tone(0.5, rate), rate)
    wav = audio.read(path)
    assert wav.dtype == torch.float32 and wav.shape == (8000,)
    inner = slice(1000, 7000)  # codecs and filters differ at the edges
    assert np.abs(wav.numpy() - tone(0.5))[inner].max() < 0.03
    assert audio.info(path).seconds == pytest.approx(0.5)


def test_stereo_at_8khz_is_averaged_and_resampled_like_scipy(write):
    left, right = tone(1, 8000, 300), tone(1, 8000, 700)
    wav = audio.read(write("s.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")).numpy()
    expected = scipy.signal.resample_poly((left + right) / 2, 2, 1)
    assert np.abs(wav - expected)[500:-500].max() < 2e-3


@pytest.mark.parametrize("rate", [11127, 15999, 22255, 44099, 96000])
def test_unusual_rates_need_little_memory_and_keep_the_pitch(write, rate):
    wav = audio.read(write("a.wav", tone(1, rate), rate)).numpy()
    assert abs(len(wav) - 16000) <= 4
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav))))
    assert spectrum.argmax() == 440
    assert sum(b.numel() for b in audio.resampler(rate).buffers()) < 2e7


def test_resampling_kernel_is_computed_once(write):
    path = write("a.wav", tone(0.1, 12000), 12000)
    audio.read(path)
    before = audio.resampler.cache_info()
    audio.read(path)
    assert audio.resampler.cache_info().misses == before.misses


def test_sixteen_bit_samples_are_exact(write):
    samples = np.array([-32768, -1, 0, 1, 32767], dtype=np.int16)
    assert audio.read(write("a.wav", samples)).mul(32768).tolist() == samples.tolist()


def test_ten_samples(write):
    assert audio.read(write("a.wav", tone()[:10])).shape == (10,)
    assert audio.read(write("b.wav", tone()[:10], 48000)).shape == (4,)


def test_unicode_and_spaces_in_paths(write):
    path = write("Ordner mit Leerzeichen/größe 音声 '1'.flac")
    assert len(audio.read(path)) == len(audio.read(str(path))) == 8000


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_segment_equals_slice_of_the_whole(write, suffix):
    path = write(f"a.{suffix}", NOISE)
    whole = audio.read(path)
    times = [(0, 1), (0.5, 1.25), (1.0001, 2.9999), (None, 0.3), *((at / 10, None) for at in range(1, 30))]
    for start, end in times:
        first, last = round((start or 0) * 16000), 48000 if end is None else round(end * 16000)
        # mp3: the decoder's state differs by rounding
        assert torch.allclose(audio.read(path, start, end), whole[first:last], atol=1e-6, rtol=0)


def test_segments_far_into_a_long_ogg_are_exact(write):
    """libsndfile's own seek misses by 128 samples or more near the end of such a file."""
    bursts = 0.3 * np.sin(np.arange(480000) * 0.17) * (np.arange(480000) % 8000 < 4000)
    path = write("a.ogg", bursts)
    whole = audio.read(path)
    for start in np.arange(20, 29.9, 0.3):
        assert torch.equal(audio.read(path, start, start + 0.1), whole[round(start * 16000) :][:1600])


def test_segment_at_another_rate_has_its_length(write):
    path = write("a.wav", tone(1, 44100), 44100)
    assert len(audio.read(path, 0.25, 0.5)) == 4000


def test_an_end_within_10_ms_past_the_file_is_clipped(write):
    path = write()
    assert len(audio.read(path, 0.25, 0.509)) == 4000
    with pytest.raises(audio.AudioError, match=r"a\.wav \(from 0\.25 s to 0\.52 s\): ends past .* \(0\.500 s\)"):
        audio.read(path, 0.25, 0.52)


@pytest.mark.parametrize(
    "start, end, message",
    [
        (0.3, 0.2, "end must come after"),
        (0.2, 0.2, "end must come after"),
        (0.5, None, "starts past the end"),
        (7, 8, "starts past the end"),
        (-0.1, 0.2, "not negative"),
        (float("nan"), None, "finite"),
        (0, float("inf"), "finite"),
    ],
)
def test_segments_outside_the_file(write, start, end, message):
    with pytest.raises(audio.AudioError, match=f"a.wav.*{message}"):
        audio.read(write(), start, end)


def test_bad_files_are_refused_by_name_in_info_and_read(write, tmp_path):
    for path, message in bad_files(write, tmp_path).values():
        for function in (audio.info, audio.read):
            with pytest.raises(audio.AudioError, match=message) as caught:
                function(path)
            assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_a_short_read_is_an_error(write, suffix):
    path = write(f"a.{suffix}", NOISE[:32000])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert audio.info(path).frames == 32000  # the header alone cannot know
    with pytest.raises(audio.AudioError, match=rf"a\.{suffix}: .*decoded.*copy it again"):
        audio.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_samples(write, value):
    samples = tone()
    samples[4000] = value
    with pytest.raises(audio.AudioError, match=r"a\.wav: a NaN or infinite sample at 0\.250 s"):
        audio.read(write("a.wav", samples, subtype="FLOAT"))
    assert len(audio.read(write("a.wav", samples, subtype="FLOAT"), 0, 0.25)) == 4000


@pytest.mark.parametrize("riff", [0, 8, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("data", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_headers_written_to_a_pipe(write, riff, data):
    path = write()
    expected = audio.read(path)
    patched(path, riff, data)
    assert audio.info(path).seconds == 0.5
    assert torch.equal(audio.read(path), expected)
    assert torch.equal(audio.read(path, 0.1, 0.2), expected[1600:3200])


def test_an_open_file_is_read_as_its_path_and_named_in_errors(write, tmp_path):
    path = write("a.flac", tone(0.5, 8000), 8000)
    with open(path, "rb") as file:
        assert torch.equal(audio.read(file), audio.read(path))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with open(tmp_path / "bad.wav", "rb") as file, pytest.raises(audio.AudioError, match=r"bad\.wav"):
        audio.read(file)


@pytest.mark.parametrize("dtype, silence", [(torch.uint8, 128), (torch.int16, 0), (torch.int32, 0), (torch.float64, 0)])
def test_samples_of_every_type_have_the_same_scale(dtype, silence):
    top = 1.0 if dtype.is_floating_point else torch.iinfo(dtype).max
    wav = audio.as_mono(torch.tensor([silence, top], dtype=dtype))
    assert wav[0] == 0 and wav[1] == pytest.approx(1, abs=0.01) and wav.dtype == torch.float32
