"""The process that makes the audio: a request in, a folder of wav files and ``alignments.jsonl`` out.

It runs alone and in one go, because eSpeak NG repeats itself only in a fresh process (see ``espeak.py``).
It needs numpy and nothing else, so that it starts in a fraction of a second: the change of rate from 22.05
to 16 kHz cuts the spectrum of the zero-padded utterance (320 samples for every 441), which is exact below 8
kHz.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import wave
from pathlib import Path

import numpy as np

from dataset import SAMPLE_RATE
from dataset.espeak import library
from dataset.espeak.alignment import Segment, align
from dataset.espeak.utterance import Utterance

UP, DOWN = 320, 441  # 16000 : 22050
PAD = 0.1  # seconds of silence at either end; eSpeak NG itself gives none

REFUSED = 3  # exit code: the request cannot be met, and the last line of stderr says why


def resample(samples: np.ndarray) -> np.ndarray:
    """(n,) at 22050 Hz -> (ceil(n * 320 / 441),) at 16 kHz, both float64."""
    length = -(-len(samples) * UP // DOWN)
    blocks = -(-len(samples) // DOWN) + 1  # at least one block of zeros, for the filter's ringing to die in
    spectrum = np.fft.rfft(samples, blocks * DOWN)
    return np.fft.irfft(spectrum[: blocks * UP // 2 + 1], blocks * UP)[:length] * (UP / DOWN)


def render(utterance: Utterance, synthesiser: library.Espeak) -> tuple[np.ndarray, list[Segment], list[Segment]]:
    """int16 samples (n,) at 16 kHz; words and phones in samples at 22.05 kHz from the start of the speech."""
    u = utterance
    speech = synthesiser.say(u.text, u.voice, u.rate, u.pitch, u.pitch_range)
    samples = np.frombuffer(bytes(speech.pcm), dtype="<i2").astype(np.float64)
    words, phones = align(utterance.text, speech.words, speech.phones, len(samples))
    padded = np.pad(resample(samples), round(PAD * SAMPLE_RATE)) * 10 ** (utterance.gain_db / 20)
    if utterance.noise_db is not None:
        seed = int.from_bytes(hashlib.sha256(utterance.id.encode()).digest()[:8], "little")
        noise = np.random.default_rng(seed).standard_normal(len(padded))
        padded += noise * 32768 * 10 ** (utterance.noise_db / 20)
    return np.clip(np.rint(padded), -32768, 32767).astype("<i2"), words, phones


def generate(request: dict, target: Path) -> None:
    """Make every utterance of ``request`` in order, in the existing empty folder ``target``."""
    parent = os.getppid()
    synthesiser = library.Espeak(request["library"], request["data"])
    (target / "wav").mkdir()
    with open(target / "alignments.jsonl", "w", encoding="utf-8") as index:
        for fields in request["utterances"]:
            if os.getppid() != parent:
                raise RuntimeError("the process that asked for the corpus is gone")
            utterance = Utterance(**fields)
            samples, words, phones = render(utterance, synthesiser)
            name = f"wav/{utterance.id}.wav"
            with wave.open(str(target / name), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE)
                file.writeframes(samples.tobytes())
            line = {"id": utterance.id, "wav": name, "seconds": len(samples) / SAMPLE_RATE}
            line |= {"words": _seconds(words), "phones": _seconds(phones)}
            index.write(json.dumps(line, ensure_ascii=False) + "\n")


def _seconds(segments: list[Segment]) -> list[tuple[float, float, str]]:
    rate = library.SAMPLE_RATE
    return [(round(PAD + a / rate, 5), round(PAD + b / rate, 5), label) for a, b, label in segments]


def main(request_file: str, target: str) -> int:
    """The process's own entry; returns its exit code."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        generate(request, Path(target))
    except (RuntimeError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0
