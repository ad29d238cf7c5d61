"""Audio from a pipe comes in chunks, before the pipe ends, with the samples that a file would have."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import soundfile

from dataset.long_audio.live import AHEAD, chunks_of_pipe
from dataset.places.audio_error import AudioError


@pytest.fixture
def pipe():
    """A pipe: what is read from, and a file to write to."""
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as file:
        yield read, file
    os.close(read)


def wav(samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def of_size(content: bytes, size: int) -> bytes:
    """A wav whose header gives a size of its audio that its writer did not know."""
    place = content.index(b"data") + 4
    return content[:place] + size.to_bytes(4, "little") + content[place + 4 :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ULAW"])
@pytest.mark.parametrize("size", [None, 0xFFFFFFFF, 0x7FFFF000])
def test_the_chunks_of_a_wav_are_its_samples(pipe, subtype, size):
    read, write = pipe
    content = wav(noise(5000, 2), 8000, subtype)
    write.write(content if size is None else of_size(content, size))
    write.close()
    chunks = list(chunks_of_pipe(read, "-", 0.1))
    assert [len(own.samples) for own in chunks] == [800] * 6 + [200] and {own.rate for own in chunks} == {8000}
    expected = soundfile.read(io.BytesIO(content), dtype="float32")[0].mean(axis=1)
    assert np.array_equal(np.concatenate([own.samples for own in chunks]), expected)


def test_samples_without_a_header_come_before_the_pipe_ends(pipe):
    read, write = pipe
    samples = np.arange(-1000, 1000, dtype="<i2")
    chunks = chunks_of_pipe(read, "-", 0.05, raw_rate=16000)
    write.write(samples.tobytes()[:1601])  # half a sample more than a chunk
    first = next(chunks)
    write.write(samples.tobytes()[1601:])
    write.close()
    rest = [own.samples for own in chunks]
    assert first.rate == 16000 and len(first.samples) == 800
    assert np.array_equal(np.concatenate([first.samples, *rest]) * 32768, samples)


def test_more_than_may_wait_is_not_lost(pipe):
    read, write = pipe
    samples = (noise(30 * AHEAD) * 32767).astype("<i2")  # less than a pipe holds
    write.write(samples.tobytes())
    write.close()
    chunks = [own.samples for own in chunks_of_pipe(read, "-", 0.001, raw_rate=8000)]
    assert len(chunks) > 3 * AHEAD and np.array_equal(np.concatenate(chunks) * 32768, samples)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not audio that soundfile can read from a pipe"),
        (b"no audio at all", "not audio that soundfile can read from a pipe"),
        (wav(noise(0)), "holds no samples"),
        (of_size(wav(noise(500)), 0), "holds no samples, or its header says so.*--raw RATE"),
        (wav(np.array([0.1, np.nan, 0.2], np.float32), subtype="FLOAT"), "a NaN or infinite sample after 0.000 s"),
        (wav(noise(500)).replace((16000).to_bytes(4, "little"), (999).to_bytes(4, "little")), "its header says 999 Hz"),
    ],
    ids=["empty", "text", "no samples", "size 0", "NaN", "999 Hz"],  # a float wav has the time in its header
)
def test_what_cannot_be_read_is_refused_by_its_name(pipe, content, reason):
    read, write = pipe
    write.write(content)
    write.close()
    with pytest.raises(AudioError, match=f"^stdin: {reason}"):
        list(chunks_of_pipe(read, "stdin", 0.1))
