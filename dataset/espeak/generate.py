"""The process that synthesises: a request in, a folder of wav files and ``alignments.jsonl`` out.

It runs in a separate process from beginning to end, since eSpeak NG repeats its output only in a fresh process (see
``library.py``). It imports nothing but numpy, so that it starts in a fraction of a second. Resampling from 22.05 to
16 kHz cuts the spectrum of the zero-padded utterance (320 samples for every 441), which is exact below 8 kHz.
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
from dataset.espeak.sentence import ToySentence

UP, DOWN = 320, 441  # 16000 : 22050
PAD = 0.1  # seconds of silence at either end; eSpeak NG adds none

REFUSED = 3  # exit code if the request cannot be met; the reason is the last line of stderr


def resample(samples: np.ndarray) -> np.ndarray:
    """(n,) at 22050 Hz -> (ceil(n * 320 / 441),) at 16 kHz, both float64."""
    length = -(-len(samples) * UP // DOWN)
    blocks = -(-len(samples) // DOWN) + 1  # at least one block of zeros, in which the ringing of the filter ends
    spectrum = np.fft.rfft(samples, blocks * DOWN)
    return np.fft.irfft(spectrum[: blocks * UP // 2 + 1], blocks * UP)[:length] * (UP / DOWN)


def render(sentence: ToySentence, synthesiser: library.Espeak) -> tuple[np.ndarray, list[Segment], list[Segment]]:
    """int16 samples (n,) at 16 kHz; words and phones in samples at 22.05 kHz from the start of the speech."""
    speech = synthesiser.say(
        sentence.text, sentence.voice, rate=sentence.rate, pitch=sentence.pitch, pitch_range=sentence.pitch_range
    )
    samples = np.frombuffer(bytes(speech.pcm), dtype="<i2").astype(np.float64)
    words, phones = align(sentence.text, speech.words, speech.phones, len(samples))
    padded = np.pad(resample(samples), round(PAD * SAMPLE_RATE)) * 10 ** (sentence.gain_db / 20)
    if sentence.noise_db is not None:
        seed = int.from_bytes(hashlib.sha256(sentence.id.encode()).digest()[:8], "little")
        noise = np.random.default_rng(seed).standard_normal(len(padded))
        padded += noise * 32768 * 10 ** (sentence.noise_db / 20)
    return np.clip(np.rint(padded), -32768, 32767).astype("<i2"), words, phones


def generate(request: dict, target: Path) -> None:
    """Synthesise the sentences of ``request``, in order, in the existing empty folder ``target``."""
    parent = os.getppid()
    synthesiser = library.Espeak(request["library"], request["data"])
    (target / "wav").mkdir()
    with open(target / "alignments.jsonl", "w", encoding="utf-8") as index:
        for fields in request["utterances"]:
            if os.getppid() != parent:
                raise RuntimeError("the process that asked for the corpus has ended")
            sentence = ToySentence(**fields)
            samples, words, phones = render(sentence, synthesiser)
            name = f"wav/{sentence.id}.wav"
            with wave.open(str(target / name), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE)
                file.writeframes(samples.tobytes())
            line = {"id": sentence.id, "wav": name, "seconds": len(samples) / SAMPLE_RATE}
            line |= {"words": _seconds(words), "phones": _seconds(phones)}
            index.write(json.dumps(line, ensure_ascii=False) + "\n")


def _seconds(segments: list[Segment]) -> list[tuple[float, float, str]]:
    rate = library.SAMPLE_RATE
    return [(round(PAD + a / rate, 5), round(PAD + b / rate, 5), label) for a, b, label in segments]


def main(request_file: str, target: str) -> int:
    """Run the process and return its exit code."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        generate(request, Path(target))
    except (RuntimeError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0
