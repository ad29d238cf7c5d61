"""Audio files: what can be read is read right, and what cannot is refused with its name."""

from __future__ import annotations

import logging
import multiprocessing
import sqlite3
import struct
import time

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from dataset import audio

NOISE = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)


def tone(seconds=0.5, rate=16000, hz=440.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def write(name="a.wav", samples=None, rate=16000, **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone() if samples is None else samples, rate, **kwargs)
        return path

    return write


def patched(path, riff=None, data=None, tail=b""):
    """The wav with other sizes in its header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    if riff is not None:
        content[4:8] = struct.pack("<I", riff)
    if data is not None:
        content[at : at + 4] = struct.pack("<I", data)
    path.write_bytes(bytes(content) + tail)
    return path


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
    assert sum(b.numel() for b in audio._resampler(rate).buffers()) < 2e7


def test_resampling_kernel_is_computed_once(write):
    path = write("a.wav", tone(0.1, 12000), 12000)
    audio.read(path)
    before = audio._resampler.cache_info()
    audio.read(path)
    assert audio._resampler.cache_info().misses == before.misses


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


def bad_files(write, tmp_path):
    """Name -> (file, what the message must say)."""
    whole = write("whole.wav").read_bytes()
    contents = {
        "empty.wav": (b"", r"empty \(0 bytes\)"),
        "text.wav": (b"RIFF is only a word here", "not audio.*convert"),
        "garbage.flac": (b"\0" * 999, "not audio"),
        "half.wav": (whole[:8000], "cut short.*promises 16000 bytes of audio, 7956 are there"),
        "header.wav": (whole[:30], "cut short"),
        "samples.raw": (b"\0" * 100, "not audio"),
        "half.ogg": (write("a.ogg", NOISE[:16000]).read_bytes()[:5000], "no samples"),
    }
    bad = {}
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        bad[name] = (tmp_path / name, message)
    bad["nothing.wav"] = (write("nothing.wav", tone()[:0]), "no samples")
    bad["missing.wav"] = (tmp_path / "missing.wav", "no such file.*wav_path")
    bad["folder.wav"] = (tmp_path / "folder.wav", "cannot be opened")
    bad["folder.wav"][0].mkdir()
    # LIST after an empty data chunk: all sizes agree, so the text is not audio
    path = write("list.wav", tone()[:0])
    bad["list.wav"] = (patched(path, riff=36 + 12, tail=b"LIST\4\0\0\0INFO"), "no samples")
    flac = bytearray(write("pipe.flac").read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)  # total samples 0: "unknown"
    (tmp_path / "pipe.flac").write_bytes(flac)
    bad["pipe.flac"] = (tmp_path / "pipe.flac", "does not say how long.*ffmpeg")
    return bad


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


def test_durations_collects_every_bad_file(write, tmp_path):
    bad = {str(path) for path, _ in bad_files(write, tmp_path).values()}
    good = [str(write(f"{i}.wav", tone(0.1 * i))) for i in range(1, 5)]
    seconds, errors = audio.durations([*good, *bad, *good], tmp_path / "cache", num_workers=2)
    assert seconds == {path: pytest.approx(0.1 * i) for i, path in enumerate(good, start=1)}
    assert set(errors) == bad
    assert all(path in str(error) for path, error in errors.items())


def test_durations_come_from_the_cache_until_the_file_changes(write, tmp_path, monkeypatch):
    paths = [write(f"{i}.wav") for i in range(3)]
    audio.durations(paths, tmp_path / "cache")
    read = []
    header = audio.info
    monkeypatch.setattr(audio, "info", lambda path: read.append(path) or header(path))
    monkeypatch.chdir(tmp_path)
    assert audio.durations(["0.wav"], tmp_path / "cache") == ({"0.wav": 0.5}, {})
    assert not read  # a relative name is the same file
    write("1.wav", tone(0.75))
    seconds, errors = audio.durations(paths, tmp_path / "cache")
    assert list(seconds.values()) == [0.5, 0.75, 0.5] and not errors
    assert read == [str(paths[1])]
    paths[2].unlink()
    assert list(audio.durations(paths, tmp_path / "cache")[1]) == [str(paths[2])]


@pytest.mark.parametrize("damage", ["not a database", "bytes", "journal"])
def test_a_damaged_cache_is_moved_away_and_said(write, tmp_path, caplog, damage):
    paths = [write(f"{i:03}.wav", tone(0.01)) for i in range(100)]
    cache = tmp_path / "cache" / "durations.sqlite"
    audio.durations(paths, cache.parent)
    content = bytearray(cache.read_bytes())
    if damage == "bytes":
        content[150:] = b"\xa5" * (len(content) - 150)
    cache.write_bytes(b"garbage" * 500 if damage != "bytes" else content)
    journal = cache.with_name("durations.sqlite-journal")
    if damage == "journal":
        journal.write_bytes(b"garbage")
    with caplog.at_level(logging.WARNING):
        seconds, errors = audio.durations(paths, cache.parent)
    assert len(seconds) == 100 and not errors
    assert "durations.sqlite is damaged" in caplog.text
    assert cache.with_name("durations.sqlite.corrupt").exists() and not journal.exists()
    with sqlite3.connect(cache) as db:
        assert db.execute("SELECT count(*) FROM durations").fetchone() == (100,)
    db.close()


def test_a_cache_folder_that_cannot_be_made_is_said(write, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert len(audio.durations([write()], tmp_path / "file" / "cache")[0]) == 1
    assert "cannot be used" in caplog.text


def test_two_processes_share_a_cache(write, tmp_path):
    paths = [str(write(f"{i}.wav", tone(0.01))) for i in range(50)]
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        answers = pool.starmap(audio.durations, [(paths, tmp_path / "cache", 2)] * 6)
    assert all(len(seconds) == 50 and not errors for seconds, errors in answers)
    assert not list((tmp_path / "cache").glob("*.corrupt"))


def test_cached_durations_are_fast(write, tmp_path):
    paths = [write("a.wav", tone(0.01))]
    for i in range(3000):
        paths.append(tmp_path / f"link{i}.wav")
        paths[-1].hardlink_to(paths[0])
    audio.durations(paths, tmp_path / "cache")
    begin = time.perf_counter()
    audio.durations(paths, tmp_path / "cache")
    assert time.perf_counter() - begin < 1.0  # measured: 0.03 s
