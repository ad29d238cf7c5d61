"""Toy corpus for phoneme recognition: the household sentences, with eSpeak NG's phones and their times."""

from __future__ import annotations

import dataclasses
import json

from dataset.corpora.common.base import Row
from dataset.corpora.toy import Planned, Toy
from dataset.espeak import Spoken


@dataclasses.dataclass
class ToyPhones(Toy):
    """The sentences of ``toy``; ``transcription`` is their phones (IPA), ``phones`` a JSON list of [start, end, phone]
    in seconds, and ``text`` the words."""

    def _row(self, planned: Planned, spoken: Spoken) -> Row:
        row = super()._row(planned, spoken)
        phones = [phone for _, _, phone in spoken.phones]
        timed = json.dumps([list(segment) for segment in spoken.phones], ensure_ascii=False)
        return {**row, "text": row["transcription"], "transcription": " ".join(phones), "phones": timed}
