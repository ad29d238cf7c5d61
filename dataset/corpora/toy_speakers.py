"""Toy corpora of voices: known ones to tell apart, and unknown ones to compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Splits
from dataset.corpora.common.draw_trials import draw_trials
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.setting import setting


@dataclasses.dataclass
class ToySpeakers(ToyUtterances):
    """Household sentences in 20 synthetic voices, all of them in every split; ``label`` is the voice.

    No sentence is in two splits. Rate and pitch vary from one utterance to the next, so that neither tells the
    voice.
    """

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.TRAIN, f"speakers/{self.seed}", (130, 190), (35, 65))
        templates = grammar.HELD_OUT if split == "test" else grammar.TEMPLATES
        sentences = (s for s in grammar.sentences(templates, cast.rng) if _share(s.text) == split or split == "test")
        for _ in range(size):
            voice = str(cast.voices.deal())
            cast.say(next(sentences).text, voice, {"label": voice})
        return cast.lines


@dataclasses.dataclass
class ToyTrials(ToyUtterances):
    """Utterances of synthetic speakers for verification: training ones have ``spk``, the others are in trials.

    A speaker is a voice at a pitch of its own, from which utterances stray little. The voices of each split are its
    own, so that the speakers of the trials are unseen in training, and those of the test trials in validation
    too.
    """

    num_train: int = setting(1800, "training utterances", min=1)
    num_valid: int = setting(120, "utterances that the validation trials are made of", min=20)
    num_test: int = setting(240, "utterances that the test trials are made of", min=20)
    num_trials: int = setting(4000, "validation trials, and test trials, half of them of one speaker", min=2)

    def load(self, cache_dir: Path) -> Splits:
        """Rows with ``id, wav_path, seconds, spk, ...``; trials with ``id1, id2, wav_path1, wav_path2, label``."""
        spoken = super().load(cache_dir)
        valid = draw_trials(spoken.valid, self.num_trials, f"{self.seed}/valid", "spk")
        test = {
            name: draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk") for name, rows in spoken.test.items()
        }
        return Splits(train=spoken.train, valid=valid, test=test)

    def _split(self, split: str, size: int) -> list[Planned]:
        names = {"train": voices.TRAIN, "valid": voices.VALID, "test": voices.TEST}[split]
        pitches = (15, 38, 62, 85) if split == "train" else (25, 75)
        cast = Cast(split, names, f"trials/{self.seed}", (130, 190), (0, 0))
        speakers = grammar.Deck(tuple((name, pitch) for name in names for pitch in pitches), cast.rng)
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        for _ in range(size):
            voice, pitch = speakers.deal()
            spk = f"{voice.partition('+')[2]}-{pitch}"
            cast.say(next(sentences).text, voice, {"spk": spk}, pitch=cast.rng.randint(pitch - 5, pitch + 5))
        return cast.lines


def _share(text: str) -> str:
    """Which of training and validation a sentence is for; a test has templates of its own."""
    return "valid" if sum(text.encode()) % 8 == 0 else "train"
