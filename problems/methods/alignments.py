"""Write alignments of phones as TextGrids."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import write_folder
from problems.engine.inference.timed_formats import textgrid
from tasks.results import Phones, Segment


def write_alignments(records: Mapping[str, Sequence[Any]], folder: Path) -> None:
    """Write a TextGrid with the tier ``phones`` for each aligned utterance; the folder is whole or absent.

    Args:
        records: with ``id`` and ``aligned``: [start, end, phone] in seconds, as JSON.
        folder: replaced if it exists. A file has the name of its utterance; characters that a file's name cannot have
            become ``_``.
    """

    def fill(target: Path) -> None:
        for number, (id, aligned) in enumerate(zip(records["id"], records["aligned"])):
            segments = [Segment(*own) for own in json.loads(aligned)]
            if segments:
                name = re.sub(r"[^\w.+-]", "_", id)
                path = target / f"{name}.TextGrid"
                path = target / f"{name}.{number}.TextGrid" if path.exists() else path
                path.write_text(textgrid(Phones(records["reference"][number], segments)), encoding="utf-8")

    write_folder(folder, fill)
