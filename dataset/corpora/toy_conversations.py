"""Toy corpus for diarization: conversations of synthetic voices that are unseen in training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus
from dataset.corpora.common.toy import ToyUtterances
from dataset.corpora.conversations import Conversations, with_lengths
from dataset.corpora.toy_trials import ToyTrials
from dataset.diarization.conversations import Utterance
from dataset.setting import setting


@dataclasses.dataclass
class ToyConversations(Conversations):
    """Conversations of two synthetic voices that say household sentences. Each split has its own voices."""

    source: dict = setting({}, "not used: the utterances are synthesised")
    speaker_column: str = setting("spk", "not used")
    num_train: int = setting(2000, "training conversations", min=1)

    def _corpus(self) -> Corpus:
        return ToyTrials(seed=self.seed)

    def _utterances(self, cache_dir: Path) -> dict[str, list[Utterance]]:
        splits = ToyUtterances.load(self._corpus(), cache_dir)  # the utterances, not trials of them
        rows = {"train": splits.train, "valid": splits.valid, "test": splits.test["test"]}
        return with_lengths(rows, self.speaker_column, cache_dir)
