"""The CSVs that s3prl's problems write and read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from dataset.corpora.audio_snips import slots_of_tags
from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.tables import Lines, read_table
from dataset.corpora.manifests.base import Manifests, from_here


@dataclasses.dataclass
class S3prl(Manifests):
    """CSVs with ``id, wav_path`` and ``transcription``, ``iob``, ``label`` or ``labels``, and segments.

    Relative paths start in the working directory, as in s3prl, or else beside the CSV. ``iob``, a tag for each word of
    the transcript, becomes the column ``slots``. The CSVs of diarization are read by ``csv_turns``, those of speaker
    verification by ``csv_trials``.
    """

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        lines = read_table(path)
        for number, row in lines:
            if "iob" in row:
                words, tags = row.get("transcription", "").split(), row.pop("iob").split()
                if len(words) != len(tags):
                    raise CorpusError(f"{path}, line {number}: {len(tags)} tags in 'iob' for {len(words)} words")
                row["slots"] = json.dumps(slots_of_tags(words, tags), ensure_ascii=False)
        return path, lines

    def _audio_path(self, written: str, file: Path) -> Path:
        return from_here(written, file.parent)
