"""Audio in files, parts of files and at URLs: headers, and samples at 16 kHz mono.

soundfile decodes (wav, flac, ogg, mp3, ...) and torchaudio resamples.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch

from dataset import SAMPLE_RATE
from dataset.places.audio_error import AudioError
from dataset.places.audio_file import Source, name_of, open_audio

END_TOLERANCE_SEC = 0.01  # metadata rounds times to 10 ms or finer

# Frames to decode before a segment, because libsndfile seeks inexactly: Vorbis can miss by a block inside the last page
# (libsndfile issue 885; a page has at most 255 packets of 1024), and an MP3 frame uses bits of earlier ones.
_PREROLL = {"OGG": 255 * 1024, "MP3": 16 * 1152}


class AudioInfo(NamedTuple):
    """The content of a header: ``frames`` samples in each of ``channels`` at ``sample_rate`` Hz."""

    seconds: float
    sample_rate: int
    channels: int
    frames: int


def info(path: Source) -> AudioInfo:
    """Read the header, without decoding.

    Raises:
        AudioError: the file is missing, cannot be decoded, holds no samples, or (RIFF) is shorter than its header says.
    """
    with open_audio(path) as file:
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, file.frames)


def read(path: Source, start_sec: float | None = None, end_sec: float | None = None) -> torch.Tensor:
    """Read a file, or its segment ``[start_sec, end_sec)``, and average its channels.

    Of a segment, only its own frames are read (for ogg and mp3 also some before it) and resampled.

    Returns:
        float32 (T,) at 16 kHz, T > 0.

    Raises:
        AudioError: as for :func:`info`; the file holds fewer samples than its header says, or a NaN or infinite sample;
            the segment is outside the file (an end up to 10 ms past the file's end is clipped).
    """
    with open_audio(path) as file:
        samples, rate = decode(path, file, start_sec, end_sec), file.samplerate
    wav = torch.from_numpy(mono_of(samples))
    return wav if rate == SAMPLE_RATE else resampler(rate)(wav)


def mono_of(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels of samples (T, channels)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def decode(
    path: Source,
    file: soundfile.SoundFile,
    start_sec: float | None = None,
    end_sec: float | None = None,
) -> np.ndarray:
    """Return the samples, float32 (T, channels), of an open file, or of a segment of it, at its own rate.

    Args:
        path: named in messages.

    Raises:
        AudioError: as for :func:`read`.
    """
    start, stop = _segment(path, file, start_sec, end_sec)
    begin = max(0, start - _PREROLL.get(file.format, 0))
    if begin:
        file.seek(begin)
    return decode_frames(file, f"{name_of(path)}{_describe(start_sec, end_sec)}", begin, start, stop)


def decode_frames(file: soundfile.SoundFile, name: str, begin: int, start: int, stop: int) -> np.ndarray:
    """Return the frames ``start`` to ``stop`` of an open file that stands at the frame ``begin``: (T, channels).

    Args:
        name: of the file, for messages.

    Raises:
        AudioError: as for :func:`read`.
    """
    try:
        samples = file.read(stop - begin, dtype="float32", always_2d=True)[start - begin :]
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: cannot be decoded ({error.error_string.strip()}); it is damaged: copy it again"
        ) from error
    if len(samples) != stop - start:
        raise AudioError(
            f"{name}: only {len(samples)} of {stop - start} samples could be decoded; "
            "it is truncated or damaged: copy it again (an MP3 without its length in the header: convert it to wav)"
        )
    if not np.isfinite(samples).all():
        frame = start + int(np.argmax(~np.isfinite(samples).all(axis=1)))
        raise AudioError(f"{name}: a NaN or infinite sample at {frame / file.samplerate:.3f} s; write the file again")
    return samples


def as_mono(samples: Any, rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Samples as this module reads them from files.

    Args:
        samples: a tensor or an array, (T,), (channels, T) or (T, channels), floats, or integers of full scale.
        rate: Hz.

    Returns:
        float32 (T,) at 16 kHz.

    Raises:
        AudioError: they have another shape, are empty, or hold a NaN or infinite sample; the rate is not positive.
    """
    wav = torch.as_tensor(samples).detach().cpu()
    if wav.dtype == torch.uint8:  # its silence is 128
        wav = wav.float() / 128 - 1
    elif not wav.dtype.is_floating_point:
        wav = wav.float() / -torch.iinfo(wav.dtype).min
    wav = wav.float()
    if wav.ndim == 2:
        wav = wav.mean(dim=0 if wav.shape[0] <= wav.shape[1] else 1)
    if wav.ndim != 1 or not len(wav) or rate <= 0:
        shape = tuple(torch.as_tensor(samples).shape)
        raise AudioError(f"samples of shape {shape} at {rate} Hz: expected (T,) or (channels, T), T above 0")
    if not torch.isfinite(wav).all():
        raise AudioError("samples: a NaN or infinite one; scale them to the range -1 to 1")
    return wav if rate == SAMPLE_RATE else resampler(rate)(wav)


def _segment(
    path: Source, file: soundfile.SoundFile, start_sec: float | None, end_sec: float | None
) -> tuple[int, int]:
    """Return the first frame and one past the last, at the file's own rate."""
    rate, seconds = file.samplerate, file.frames / file.samplerate
    begin, end = 0.0 if start_sec is None else start_sec, seconds if end_sec is None else end_sec
    name = f"{name_of(path)}{_describe(start_sec, end_sec)}"
    if not (math.isfinite(begin) and math.isfinite(end) and begin >= 0):
        raise AudioError(f"{name}: the times of a segment must be finite and not negative; correct the metadata")
    if begin >= seconds:
        raise AudioError(f"{name}: starts past the end of the file ({seconds:.3f} s); correct the metadata")
    if end > seconds + END_TOLERANCE_SEC:
        raise AudioError(f"{name}: ends past the end of the file ({seconds:.3f} s); correct the metadata")
    start, stop = round(begin * rate), min(round(end * rate), file.frames)
    if stop <= start:
        raise AudioError(f"{name}: holds no sample at {rate} Hz; the end must come after the start")
    return start, stop


def _describe(start_sec: float | None, end_sec: float | None) -> str:
    if start_sec is None and end_sec is None:
        return ""
    return f" (from {start_sec or 0:g} s to {'the end' if end_sec is None else f'{end_sec:g} s'})"


@functools.lru_cache(maxsize=16)
def resampler(rate: int) -> torch.nn.Module:
    """Return the filter from ``rate`` to 16 kHz, computed once per process and rate.

    torchaudio's kernel grows with the product of both rates over their common factor (2.8 GB for 44099 Hz). The ratio
    is therefore rounded to a denominator of at most 2000: exact for usual rates, less than 0.03 % off for all.
    """
    import torchaudio  # takes half a second, which files at 16 kHz do not need

    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(2000)
    return torchaudio.transforms.Resample(ratio.denominator, ratio.numerator)
