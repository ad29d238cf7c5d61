"""Toy corpus for regression: household sentences in noise, and a quality that follows from the ratio of the two."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path

from dataset import SAMPLE_RATE
from dataset.corpora.common.base import Row, Splits
from dataset.corpora.common.made_audio import make_once, write_wav
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.corpora.common.toy_sounds import coloured_noise, generator
from dataset.espeak import grammar, voices
from dataset.setting import setting

VERSION = 1
"""Of the noise. Audio is kept under it, so that any change of the noise needs another one."""
NOISES = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""The power of a noise falls with the frequency to this power."""
RATIOS, SPREAD = (-3, 3, 9, 15, 21, 27, 33), 3.0


@dataclasses.dataclass
class ToyQuality(ToyUtterances):
    """Household sentences in noise at ratios from -6 to 36 dB; ``value`` is a quality from 1 to 5.

    The quality is a fixed function of the ratio (:func:`quality`), so results say nothing about the quality that people
    hear. A ``system`` is a colour of noise at a range of ratios, such as ``pink 9 dB``. Each split has its own voices;
    the levels of the speech are drawn, so that they tell nothing.
    """

    num_train: int = setting(800, "training utterances (about 2 seconds each)", min=4)
    num_valid: int = setting(120, "validation utterances, in voices held out of training", min=4)
    num_test: int = setting(300, "test utterances, in voices held out of training and validation", min=4)

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folders of the sentences, and of the sentences in noise."""
        (clean,) = super().made_audio(cache_dir)
        columns = [planned.columns for split in self.plan().values() for planned in split]
        key = hashlib.sha256(repr((VERSION, clean.name, columns)).encode()).hexdigest()[:16]
        return [clean, Path(cache_dir).absolute() / "toy_quality" / key]

    def load(self, cache_dir: Path) -> Splits:
        """Synthesise the sentences and add the noise, or find both in ``cache_dir``."""
        clean = super().load(cache_dir)
        folder = self.made_audio(cache_dir)[1]
        rows = [*clean.train, *clean.valid, *clean.test["test"]]
        make_once(folder, lambda target: _write(rows, target))
        for row in rows:
            row["wav_path"] = str(folder / f"{row['id']}.wav")
        return clean

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"quality/{self.seed}", rates=(130, 180), pitches=(35, 65))
        systems = grammar.Deck(tuple((noise, ratio) for ratio in RATIOS for noise in NOISES), cast.rng)
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        for _ in range(size):
            noise, ratio = systems.deal()
            snr = round(cast.rng.uniform(ratio - SPREAD, ratio + SPREAD), 2)
            columns = {"value": f"{quality(snr):.2f}", "snr": f"{snr:.2f}", "noise": noise}
            cast.say(next(sentences).text, None, columns | {"system": f"{noise} {ratio} dB"}, noise_db=None)
        return cast.planned


def quality(snr: float) -> float:
    """The quality, between 1 and 5, at a ratio of speech to noise in dB; 3 at 12 dB."""
    return 1 + 4 / (1 + math.exp((12 - snr) / 6))


def _write(rows: list[Row], target: Path) -> None:
    """Write each sentence in its noise, as 16-bit WAV at 16 kHz; louder than full scale is scaled down."""
    import torch

    from dataset.audio import read
    from dataset.augmentations.levels import add_at_ratio

    for row in rows:
        speech = read(row["wav_path"])
        noise = torch.from_numpy(coloured_noise(len(speech), NOISES[row["noise"]], generator(row["id"])))
        wav = add_at_ratio(speech, noise, float(row["snr"]))
        wav = wav / max(1.0, float(wav.abs().max()) / 0.99)
        write_wav(target / f"{row['id']}.wav", wav.numpy(), SAMPLE_RATE)
