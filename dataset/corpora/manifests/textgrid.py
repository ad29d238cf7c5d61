"""Folders of audio with a TextGrid for each file, as Praat and the Montreal Forced Aligner write them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import defaultdict
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.folders import absolute, audio_files, require_folder
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.base import Manifests
from dataset.setting import setting
from dataset.wording import nearest

MISSING = 'TextGrids are read by praatio: pip install "soundstage[textgrid]"'

Interval = tuple[float, float, str]
"""Start and end in seconds, and the label."""


@dataclasses.dataclass
class TextGrid(Manifests):
    """Folders of TextGrids, searched with all that is below them; the audio has the same name and another suffix.

    The transcript is the labels of one tier, without empty ones and those of ``silences``.

    Columns: ``id`` (the path below the folder without its suffix), ``wav_path, transcription``, ``times`` (JSON:
    ``[[start, end, label], ...]`` in seconds), and ``speaker``, the folder that holds the file.
    """

    audio: str | None = setting(None, "folder of the audio, searched with all below it; null: beside the TextGrids")
    tier: str = setting("words", "tier of the transcript, such as words or phones")
    silences: list[str] = setting(["sil", "sp", "<eps>"], "labels that are left out, beside empty ones")

    unit = "file"
    ids_are_global = False

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        grids = _grids(path)
        by_name: dict[str, list[Path]] = defaultdict(list)
        for file in audio_files(require_folder(absolute(self.audio), "audio", "audio") if self.audio else path):
            by_name[file.stem].append(file)
        lines: Lines = []
        for number, grid in enumerate(grids, start=1):
            below = grid.relative_to(path).with_suffix("")
            times = [list(interval) for interval in read_tier(grid, self.tier) if interval[2] not in self.silences]
            row = {
                "id": below.as_posix(),
                "wav_path": str(_audio_of(grid, below, by_name.get(grid.stem, []))),
                "transcription": " ".join(label for _, _, label in times),
                "times": json.dumps(times, ensure_ascii=False),
            }
            lines.append((number, row | ({"speaker": below.parent.name} if below.parent.name else {})))
        return path, lines

    def _files(self, path: str) -> list[Path]:
        folder = absolute(path)
        return [folder, *(_grids(folder) if folder.is_dir() else []), *([absolute(self.audio)] if self.audio else [])]

    def _name_of(self, path: str) -> str:
        return Path(path).name


def _grids(folder: Path) -> list[Path]:
    """Every TextGrid in a folder and below, sorted, without hidden ones."""
    require_folder(folder, "a folder of TextGrids", "the paths in prepare_data")
    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(".textgrid") and not name.startswith(".")
    )


def _audio_of(grid: Path, below: Path, candidates: list[Path]) -> Path:
    """The audio of a TextGrid: of the files of its name, the one in the folders of the same name."""
    fitting = candidates
    if len(candidates) > 1:
        fitting = [path for path in candidates if path.with_suffix("").parts[-len(below.parts) :] == below.parts]
    if len(fitting) != 1:
        listed = ", ".join(map(str, fitting or candidates)) or "none"
        raise CorpusError(f"{grid}: expected one audio file called {below}, got {listed}; set audio to their folder")
    return fitting[0]


def read_tier(path: Path, name: str) -> list[Interval]:
    """The labelled intervals of a tier, in their order.

    Raises:
        CorpusError: praatio is not installed, the file is no TextGrid, or has no such tier of intervals.
    """
    try:
        from praatio import textgrid
        from praatio.utilities.errors import PraatioException
    except ImportError:
        raise CorpusError(MISSING) from None
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    except (PraatioException, ValueError, IndexError, KeyError, OSError) as error:
        raise CorpusError(f"{path} cannot be read as a TextGrid ({type(error).__name__}: {error})") from error
    if name not in grid.tierNames:
        tiers = ", ".join(grid.tierNames) or "none"
        raise CorpusError(f"{path} has no tier {name!r}{nearest(name, grid.tierNames)}; it has {tiers}; set tier")
    tier = grid.getTier(name)
    if not isinstance(tier, textgrid.IntervalTier):
        raise CorpusError(f"{path}: the tier {name!r} has points; expected intervals")
    return [(start, end, label.strip()) for start, end, label in tier.entries if label.strip()]
