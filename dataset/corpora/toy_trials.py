"""Toy corpus for speaker verification: trials of synthetic speakers that are unseen in training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Splits
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.setting import setting


@dataclasses.dataclass
class ToyTrials(ToyUtterances):
    """Utterances of synthetic speakers, with ``spk`` for training and in trials for validation and testing.

    A speaker is a voice at one pitch, from which its utterances differ little. Each split has its own voices, so that
    the speakers of the trials are unseen in training, and those of the test trials in validation too.
    """

    num_train: int = setting(1800, "training utterances", min=1)
    num_valid: int = setting(120, "utterances of the validation trials", min=20)
    num_test: int = setting(240, "utterances of the test trials", min=20)
    num_trials: int = setting(4000, "validation trials, and test trials, half of them of the same speaker", min=2)

    def load(self, cache_dir: Path) -> Splits:
        """Training rows with ``spk``, and trials with ``id1, id2, wav_path1, wav_path2, label``."""
        spoken = super().load(cache_dir)
        valid = draw_trials(spoken.valid, self.num_trials, f"{self.seed}/valid", "spk")
        test = {
            name: draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk") for name, rows in spoken.test.items()
        }
        return Splits(train=spoken.train, valid=valid, test=test)

    def _split(self, split: str, size: int) -> list[Planned]:
        names = voices.BY_SPLIT[split]
        pitches = (15, 38, 62, 85) if split == "train" else (25, 75)
        cast = Cast(split, names, seed=f"trials/{self.seed}", rates=(130, 190), pitches=(0, 0))
        speakers = grammar.Deck(tuple((name, pitch) for name in names for pitch in pitches), cast.rng)
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        for _ in range(size):
            voice, pitch = speakers.deal()
            spk = f"{voice.partition('+')[2]}-{pitch}"
            cast.say(next(sentences).text, voice, {"spk": spk}, pitch=cast.rng.randint(pitch - 5, pitch + 5))
        return cast.planned
