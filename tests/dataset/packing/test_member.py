"""The audio in a shard decodes to the very samples of its source."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

from dataset import audio
from dataset.audio import AudioError
from dataset.packing.member import member
from tests.parts.audio_files import NOISE, bad_files, patched

SOURCES = [  # suffix, subtype, what a segment is packed as
    ("wav", "PCM_16", "flac"),
    ("wav", "PCM_U8", "flac"),
    ("wav", "PCM_24", "flac"),
    ("wav", "ULAW", "flac"),
    ("wav", "ALAW", "flac"),
    ("flac", "PCM_16", "flac"),
    ("flac", "PCM_S8", "flac"),
    ("wav", "PCM_32", "wav"),
    ("wav", "FLOAT", "wav"),
    ("wav", "DOUBLE", "wav"),
    ("wav", "MS_ADPCM", "wav"),
    ("ogg", "VORBIS", "wav"),
    ("mp3", "MPEG_LAYER_III", "wav"),
]


def read_back(packed, tmp_path) -> torch.Tensor:
    path = tmp_path / f"back.{packed.suffix}"
    path.write_bytes(packed.content)
    header = audio.info(path)
    assert (header.frames, header.sample_rate) == (packed.frames, packed.rate)
    return audio.read(path)


@pytest.mark.parametrize("rate, channels", [(16000, 1), (8000, 2), (44100, 1)])
@pytest.mark.parametrize("suffix, subtype, packed_as", SOURCES)
def test_a_segment_is_cut_without_any_loss(write, tmp_path, suffix, subtype, packed_as, rate, channels):
    samples = np.clip(np.stack([np.roll(NOISE, 7 * c) for c in range(channels)], axis=1) * 3, -1, 1)
    path = write(f"a.{suffix}", samples, rate, subtype=subtype)
    for times in [(0.1234567, 1.0), (None, 0.3), (0.7, None)]:
        packed = member(str(path), *times)
        assert packed.suffix == packed_as
        assert torch.equal(read_back(packed, tmp_path), audio.read(path, *times))
        assert member(str(path), *times) == packed


@pytest.mark.parametrize("suffix, subtype, packed_as", SOURCES)
def test_a_whole_file_is_copied_byte_by_byte(write, tmp_path, suffix, subtype, packed_as):
    path = write(f"a.{suffix}", NOISE, subtype=subtype)
    packed = member(str(path), None, None)
    assert packed.content == path.read_bytes() and packed.suffix == suffix
    assert torch.equal(read_back(packed, tmp_path), audio.read(path))


def test_a_wav_that_was_written_to_a_pipe_keeps_its_samples(write, tmp_path):
    path = patched(write(), riff=0, data=0)
    assert torch.equal(read_back(member(str(path), None, None), tmp_path), audio.read(path))


def test_nine_channels_and_two_samples(write, tmp_path):
    path = write("a.wav", np.zeros((8000, 9)))
    assert member(str(path), 0.0, 0.1).suffix == "wav", "FLAC has at most eight channels"
    one = write("b.wav", NOISE[:2])
    assert torch.equal(read_back(member(str(one), 0.0, None), tmp_path), audio.read(one))


def test_no_time_stands_in_a_wav_of_floats(write):
    content = member(str(write("a.wav", NOISE, subtype="FLOAT")), 0.0, 1.0).content
    assert b"PEAK" not in content and soundfile.info(io.BytesIO(content)).subtype == "FLOAT"


@pytest.mark.parametrize("times", [(None, None), (0.0, 0.01)])
def test_bad_audio_is_refused(write, tmp_path, times):
    for path, message in bad_files(write, tmp_path).values():
        with pytest.raises(AudioError, match=message.replace("cannot be opened", "cannot be")):
            member(str(path), *times)


def test_damage_that_only_decoding_shows_is_refused(write):
    path = write("a.flac", NOISE)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(AudioError, match=r"a\.flac: .*decoded"):
        member(str(path), None, None)
    path = write("b.wav", np.array([0.0, np.nan] * 100), subtype="FLOAT")
    with pytest.raises(AudioError, match=r"b\.wav: a NaN"):
        member(str(path), None, None)
