"""Utterances whose label is the pitch of a tone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

PITCHES = {"low": 400, "mid 中": 800, "null": 1600}


def write_tones(folder: Path, count: int, labels: dict[str, int], seed: int = 0) -> list[dict[str, str]]:
    """Tones of half a second to a second whose pitch is the label; half of them come after a pause, half before one."""
    folder.mkdir(parents=True, exist_ok=True)
    random, rows = np.random.default_rng(seed), []
    for number in range(count):
        label = list(labels)[number % len(labels)]
        late = bool(number // len(labels) % 2)
        time = np.arange(int(16000 * random.uniform(0.5, 1.0))) / 16000
        tone = 0.3 * np.sin(2 * np.pi * labels[label] * time)
        wave = np.concatenate([np.zeros(8000 * late), tone, np.zeros(8000 * (not late))])
        path = folder / f"{number:03} ü.wav"
        soundfile.write(path, wave + 0.01 * random.standard_normal(len(wave)), 16000)
        slots = f"{label} ; {'late' if late else 'early'}"
        rows.append({"id": f"{folder.name}-{number}", "wav_path": str(path), "label": label, "labels": slots})
    return rows
