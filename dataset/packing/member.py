"""A member of a shard: the bytes of an utterance's audio, which decode to the very samples of its source."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import scipy.io.wavfile
import soundfile

from dataset.audio import AudioError, decode
from dataset.places.audio_file import open_audio
from dataset.places.contents import open_place

SUFFIXES = {"WAVEX": "wav", "RF64": "wav", "MPEG": "mp3"}
"""The suffix of a format that is not called by it."""
FLAC_SUBTYPES = {
    "PCM_S8": "PCM_S8",
    "PCM_U8": "PCM_S8",
    "PCM_16": "PCM_16",
    "PCM_24": "PCM_24",
    "ULAW": "PCM_16",
    "ALAW": "PCM_16",
}
"""The FLAC that holds all samples of a source. 32-bit floats hold integers of 24 bits."""
FLAC_CHANNELS, FLAC_RATE = 8, 655350  # the most that FLAC has


class Member(NamedTuple):
    """The bytes of an audio file, its suffix without a dot, its number of frames and its sample rate in Hz."""

    content: bytes
    suffix: str
    frames: int
    rate: int


def member(place: str, start_sec: float | None, end_sec: float | None) -> Member:
    """Read an utterance and decode it once, so that no damaged audio is packed.

    A whole file is copied byte by byte. A segment is cut at its own sample rate, with all channels: to FLAC if its
    samples are integers of at most 24 bits, otherwise (MP3, Vorbis, floats) to a wav of 32-bit floats, since any
    integers would differ from what the source decodes to.

    Raises:
        AudioError: it cannot be read.
    """
    if start_sec is None and end_sec is None:
        content = _content(place)
        with open_audio(place, io.BytesIO(content)) as file:
            frames = len(decode(place, file))
            return Member(content, SUFFIXES.get(file.format, file.format.lower()), frames, file.samplerate)
    with open_audio(place) as file:
        samples, rate = decode(place, file, start_sec, end_sec), file.samplerate
        subtype = FLAC_SUBTYPES.get(file.subtype)
        if subtype is None or file.channels > FLAC_CHANNELS or rate > FLAC_RATE:
            return Member(_float_wav(samples, rate), "wav", len(samples), rate)
        return Member(_flac(samples, rate, subtype), "flac", len(samples), rate)


def _content(place: str) -> bytes:
    try:
        with open_place(place) as file:
            return file.read()
    except FileNotFoundError:
        raise AudioError(f"{place}: no such file; check the path") from None
    except OSError as error:
        raise AudioError(f"{place}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _flac(samples: np.ndarray, rate: int, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def _float_wav(samples: np.ndarray, rate: int) -> bytes:
    """A wav of floats. libsndfile would write the present time into it."""
    file = io.BytesIO()
    scipy.io.wavfile.write(file, rate, samples)
    return file.getvalue()
